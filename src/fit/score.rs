//! How good quantiles are.

use hyperfake_predictor::Output;

use super::{
    blocks::{Blocks, Part},
    samples::Samples,
};

/// The levels of the quantiles that are fitted.
pub(super) const LEVELS: [f64; 21] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95,
    0.975, 0.99, 0.995, 0.999,
];

/// Where the median is in [`LEVELS`].
pub(super) const MEDIAN: usize = 10;

/// The ends of the interval that nine in ten calls are in.
pub(super) const NINETY: [usize; 2] = [4, 16];

/// Quantiles, or their logarithms: one for each of [`LEVELS`].
pub(super) type Quantiles = [f64; LEVELS.len()];

/// What can be said about how the numbers of a call are distributed.
pub(super) trait Forecast {
    /// The logarithms of the quantiles of a number of a call; the call is one of the samples.
    fn quantiles(&self, samples: &Samples, row: usize, output: Output) -> Quantiles;
}

/// How much of the levels each of [`LEVELS`] stands for.
fn weights() -> Quantiles {
    std::array::from_fn(|index| {
        let below = if index == 0 { 0.0 } else { (LEVELS[index - 1] + LEVELS[index]) / 2.0 };
        let above = LEVELS.get(index + 1).map_or(1.0, |next| (LEVELS[index] + next) / 2.0);
        above - below
    })
}

/// The continuous ranked probability score of quantiles: twice their mean pinball loss. 0 is perfect; of
/// logarithms, 0.01 is about one per cent.
pub(super) fn crps(quantiles: &Quantiles, found: f64) -> f64 {
    let weights = weights();
    let loss = |index: usize| {
        let (level, error) = (LEVELS[index], found - quantiles[index]);
        weights[index] * if error > 0.0 { level * error } else { (level - 1.0) * error }
    };
    2.0 * (0..LEVELS.len()).map(loss).sum::<f64>()
}

/// The mean score in each block of a part, of one number; NaN where nothing is known.
pub(super) fn by_block(
    samples: &Samples,
    forecast: &dyn Forecast,
    part: Part,
    output: Output,
) -> Vec<f64> {
    let Some(logs) = samples.targets[output as usize].logs() else { return Vec::new() };
    let blocks = samples.blocks;
    let score = |row: usize| {
        (!logs[row].is_nan()).then(|| crps(&forecast.quantiles(samples, row, output), logs[row]))
    };
    blocks.of(part).map(|block| mean(stride(blocks, block).filter_map(score))).collect()
}

/// Rows of a block, at most about this many: a mean of more says no more.
fn stride(blocks: Blocks, block: usize) -> impl Iterator<Item = usize> {
    const ENOUGH: usize = 2000;
    let rows = blocks.rows(block);
    let step = rows.len().div_ceil(ENOUGH).max(1);
    rows.step_by(step)
}

/// The mean; NaN of nothing.
pub(super) fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = numbers.fold((0.0, 0.0), |(sum, count), one| (sum + one, count + 1.0));
    sum / count
}

/// The mean of those that are numbers, and how far off it may be: one standard error.
pub(super) fn with_error(numbers: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let numbers = numbers.filter(|number| !number.is_nan());
    let count = numbers.clone().count() as f64;
    let mean = mean(numbers.clone());
    let square = numbers.map(|number| (number - mean) * (number - mean)).sum::<f64>();
    (mean, (square / (count - 1.0).max(1.0) / count).sqrt())
}

/// A quantile of sorted numbers: linear between the middles of their shares, which has no bias to the
/// inside as the other rules have (definition 5 of Hyndman and Fan, 1996).
pub(super) fn quantile(sorted: &[f64], level: f64) -> f64 {
    let place = (level * sorted.len() as f64 - 0.5).clamp(0.0, (sorted.len() - 1) as f64);
    let (below, share) = (place.floor(), place.fract());
    let low = sorted[below as usize];
    let high = sorted[(below as usize + 1).min(sorted.len() - 1)];
    low + share * (high - low)
}

/// Makes quantiles ascend that cross each other.
pub(super) fn ascend(quantiles: &mut [f64]) {
    quantiles.sort_unstable_by(f64::total_cmp);
}

#[cfg(test)]
mod tests {
    use hyperfake_predictor::normal;

    use super::*;

    #[test]
    fn the_median_and_the_interval_are_where_they_are_said_to_be() {
        assert_eq!(LEVELS[MEDIAN], 0.5);
        assert_eq!(NINETY.map(|index| LEVELS[index]), [0.05, 0.95]);
        assert!((weights().iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    /// The score of a standard normal distribution at its own draws is 1 / sqrt(pi) on average.
    #[test]
    fn the_score_is_that_of_the_formula() {
        let quantiles = LEVELS.map(normal::quantile);
        let draws = (0..10_000).map(|index| normal::quantile((f64::from(index) + 0.5) / 1e4));
        let score = mean(draws.map(|draw| crps(&quantiles, draw)));
        let expected = 1.0 / std::f64::consts::PI.sqrt();
        assert!((score / expected - 1.0).abs() < 0.01, "{score}, not {expected}");
        // Of a point it is the distance.
        assert!((crps(&[3.0; LEVELS.len()], 5.0) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn quantiles_of_few_numbers_lie_between_them() {
        let sorted = [1.0, 2.0, 3.0, 4.0];
        for (level, expected) in [(0.0, 1.0), (0.125, 1.0), (0.5, 2.5), (0.75, 3.5), (1.0, 4.0)] {
            assert_eq!(quantile(&sorted, level), expected);
        }
        assert_eq!(with_error([1.0, f64::NAN, 3.0].into_iter()), (2.0, 1.0));
    }
}
