use std::sync::Arc;

use hyperfake_predictor::{Predictor, RawPrediction, Result};
use serde::Serialize;

use super::{measure::RESOLUTION, run::Call, sample::Sample};

/// How good distributions are that were stated for single calls before they were made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// Whose distributions.
    pub of: &'static str,
    /// Real calls for which one was stated.
    pub calls: u64,
    /// Real calls that have none, because the record lacks a feature, or more were not asked.
    pub left_out: u64,
    /// Shares of the calls within the intervals; nothing of a model that knows no distributions.
    pub coverage: Option<Coverage>,
    /// The continuous ranked probability score: the mean error in nanoseconds, for distributions.
    pub crps_ns: f64,
    /// The same of the mean of all real calls, and of their distribution.
    pub crps_mean_ns: f64,
    /// The distribution of all real calls, whatever the load.
    pub crps_quantiles_ns: f64,
    /// 0: no error; 1: as much as the distribution of all real calls; more: worse.
    pub crps_over_quantiles: f64,
    /// How many calls were in each twentieth of their distribution: equally many if it is right.
    pub pit: Vec<u64>,
}

/// The shares of real calls within intervals that should have 50, 90 and 99 % of them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Coverage {
    /// From the percentile 25 to 75.
    pub p50: f64,
    /// From 5 to 95.
    pub p90: f64,
    /// From 0.5 to 99.5.
    pub p99: f64,
}

/// The parts of a distribution that are counted apart.
pub(super) const BINS: usize = 20;
/// The ends of the intervals, from the inner to the outer.
const INTERVALS: [(f64, f64); 3] = [(0.25, 0.75), (0.05, 0.95), (0.005, 0.995)];
/// The levels at which a model is asked for its score; those of the intervals and bins come beside.
const SCORED: usize = 40;
/// The most calls for which a model is asked.
const MOST: usize = 20_000;

/// Adds up what is known of single calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    calls: u64,
    within: [u64; 3],
    crps: f64,
    pit: [u64; BINS],
    knows_distributions: bool,
}

impl Tally {
    /// A call whose run time lies at this share of its distribution.
    fn add(&mut self, crps: f64, within: [bool; 3], share: f64) {
        self.calls += 1;
        self.crps += crps;
        self.within.iter_mut().zip(within).for_each(|(count, within)| *count += u64::from(within));
        self.pit[((share * BINS as f64) as usize).min(BINS - 1)] += 1;
        self.knows_distributions = true;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.crps += other.crps;
        self.within.iter_mut().zip(other.within).for_each(|(count, more)| *count += more);
        self.pit.iter_mut().zip(other.pit).for_each(|(count, more)| *count += more);
        self.knows_distributions |= other.knows_distributions;
    }

    pub(super) fn coverage(&self) -> Option<Coverage> {
        let calls = self.calls.max(1) as f64;
        let [p50, p90, p99] = self.within.map(|within| within as f64 / calls);
        (self.knows_distributions && self.calls > 0).then_some(Coverage { p50, p90, p99 })
    }

    pub(super) fn forecast(&self, of: &'static str, whole: &Sample) -> Option<Forecast> {
        let all = Empirical::of(whole);
        let (mean, count) = (whole.mean(), whole.len() as f64);
        let about = |mean: f64| whole.sorted().iter().map(|time| (time - mean).abs()).sum::<f64>();
        let crps_ns = self.crps / self.calls as f64;
        // Of a distribution about itself, half of the mean difference is left.
        let crps_quantiles_ns = all.spread / 2.0;
        (self.calls > 0).then(|| Forecast {
            of,
            calls: self.calls,
            left_out: whole.len() as u64 - self.calls,
            coverage: self.coverage(),
            crps_ns,
            crps_mean_ns: about(mean) / count,
            crps_quantiles_ns,
            crps_over_quantiles: (crps_ns / crps_quantiles_ns.max(RESOLUTION * whole.scale()))
                .max(0.0),
            pit: if self.knows_distributions { self.pit.to_vec() } else { Vec::new() },
        })
    }
}

/// The distribution that numbers have.
struct Empirical<'a> {
    numbers: &'a [f64],
    /// The sum of the numbers before each.
    sums: Vec<f64>,
    /// The mean difference of two of them.
    spread: f64,
}

impl<'a> Empirical<'a> {
    fn of(sample: &'a Sample) -> Self {
        let numbers = sample.sorted();
        let mut sums = Vec::with_capacity(numbers.len() + 1);
        let (mut sum, mut spread) = (0.0, 0.0);
        let count = numbers.len() as f64;
        for (number, index) in numbers.iter().zip(0_u32..) {
            sums.push(sum);
            sum += number;
            spread += (2.0 * f64::from(index) + 1.0 - count) * number;
        }
        sums.push(sum);
        let pairs = (count * (count - 1.0)).max(1.0);
        Self { numbers, sums, spread: (2.0 * spread / pairs).max(0.0) }
    }

    /// How many of the numbers are less than this one, and how many are not greater.
    fn ranks(&self, number: f64) -> [usize; 2] {
        [
            self.numbers.partition_point(|known| *known < number),
            self.numbers.partition_point(|known| *known <= number),
        ]
    }

    /// The mean difference from a number, less half of that of two numbers from each other.
    fn crps(&self, number: f64, [_, below]: [usize; 2]) -> f64 {
        let (count, all) = (self.numbers.len() as f64, self.sums[self.numbers.len()]);
        let lower = below as f64 * number - self.sums[below];
        let upper = all - self.sums[below] - (count - below as f64) * number;
        (lower + upper) / count - self.spread / 2.0
    }

    /// Where a number lies in the distribution: in the middle of those that are equal to it.
    fn share(&self, [below, up_to]: [usize; 2]) -> f64 {
        (below + up_to) as f64 / (2 * self.numbers.len()) as f64
    }
}

/// How good the distribution of fake calls is for real calls that met the same load.
pub(super) fn by_calls(real: &Sample, fake: &Sample) -> Tally {
    let mut tally = Tally::default();
    if fake.is_empty() {
        return tally;
    }
    let stated = Empirical::of(fake);
    let intervals = INTERVALS.map(|(low, high)| fake.quantile(low)..=fake.quantile(high));
    for number in real.sorted() {
        let within = std::array::from_fn(|index| intervals[index].contains(number));
        let ranks = stated.ranks(*number);
        tally.add(stated.crps(*number, ranks), within, stated.share(ranks));
    }
    tally
}

/// How good a model's distributions are for real calls, by the regime of their load: one after the other,
/// of all calls that count, as many as [`MOST`].
///
/// # Errors
///
/// When the model fails.
pub(super) fn by_model(
    model: &Arc<dyn Predictor>,
    calls: &[(Call, usize)],
    regimes: usize,
) -> Result<Vec<Tally>> {
    let mut tallies = vec![Tally::default(); regimes];
    let mut session = model.session()?;
    let levels = levels();
    let mut quantiles = vec![RawPrediction::default(); levels.len()];
    let step = calls.len().div_ceil(MOST).max(1);
    for (call, regime) in calls.iter().step_by(step) {
        let Some(features) = call.known_features() else { continue };
        let tally = &mut tallies[*regime];
        if !model.info().knows_distributions {
            let predicted = session.predict(&features)?.runtime_ns.max(0.0);
            tally.calls += 1;
            tally.crps += (call.run - predicted).abs();
            continue;
        }
        session.quantiles(&features, &levels, &mut quantiles)?;
        let at: Vec<f64> = quantiles.iter().map(|quantile| quantile.runtime_ns.max(0.0)).collect();
        let (scored, others) = at.split_at(SCORED);
        let pinball = scored.iter().zip(&levels).map(|(quantile, level)| {
            let over = call.run - quantile;
            if over >= 0.0 { level * over } else { (level - 1.0) * over }
        });
        let crps = 2.0 * pinball.sum::<f64>() / SCORED as f64;
        let (bins, ends) = others.split_at(BINS - 1);
        let within = std::array::from_fn(|index| {
            (ends[2 * index]..=ends[2 * index + 1]).contains(&call.run)
        });
        let below = bins.iter().filter(|quantile| **quantile < call.run).count();
        tally.add(crps, within, (below as f64 + 0.5) / BINS as f64);
    }
    Ok(tallies)
}

/// Those of the score, of the bins, and of the intervals.
fn levels() -> Vec<f64> {
    let scored = (0..SCORED).map(|index| (index as f64 + 0.5) / SCORED as f64);
    let bins = (1..BINS).map(|bin| bin as f64 / BINS as f64);
    scored.chain(bins).chain(INTERVALS.into_iter().flat_map(|(low, high)| [low, high])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_of_numbers_is_the_integral_of_the_squared_difference() {
        let stated = Sample::new(&[1.0, 2.0, 4.0, 9.0]);
        let stated = Empirical::of(&stated);
        // The fair form: the pairs are of different numbers.
        assert!((stated.spread - 26.0 / 6.0).abs() < 1e-12, "{}", stated.spread);
        for number in [0.0, 1.0, 3.0, 9.0, 20.0] {
            let expected = [1.0, 2.0, 4.0, 9.0].map(|known: f64| (known - number).abs());
            let expected = expected.iter().sum::<f64>() / 4.0 - stated.spread / 2.0;
            let found = stated.crps(number, stated.ranks(number));
            assert!((found - expected).abs() < 1e-12, "{number}");
        }
        let share = |number| stated.share(stated.ranks(number));
        assert_eq!([0.5, 1.0, 3.0, 10.0].map(share), [0.0, 0.125, 0.5, 1.0]);
    }

    #[test]
    fn calls_of_the_stated_distribution_are_covered_as_stated() {
        let numbers: Vec<_> = (0..10_000).map(|number| f64::from(number * 7919 % 10_000)).collect();
        let sample = Sample::new(&numbers);
        let tally = by_calls(&sample, &sample);
        let Coverage { p50, p90, p99 } = tally.coverage().unwrap();
        for (found, expected) in [(p50, 0.5), (p90, 0.9), (p99, 0.99)] {
            assert!((found - expected).abs() < 0.001, "{found}, not {expected}");
        }
        let forecast = tally.forecast("it", &sample).unwrap();
        assert!((forecast.crps_over_quantiles - 1.0).abs() < 0.01, "{forecast:?}");
        assert!(forecast.pit.iter().all(|count| count.abs_diff(500) <= 1), "{:?}", forecast.pit);
        // Twice as long: few of them are where they should be.
        let twice =
            Sample::new(&numbers.iter().map(|number| 10_000.0 + number).collect::<Vec<_>>());
        let tally = by_calls(&sample, &twice);
        assert!(tally.coverage().unwrap().p90 < 0.01);
        assert!(tally.forecast("it", &sample).unwrap().crps_over_quantiles > 4.0);
    }
}
