//! Percentiles with a mean, as Azure 2019 states run times.
//!
//! Between p75, p99 and p100 nothing is known but the mean, and most of the load is there: straight lines make
//! it up to several times too large. The curve between two of them is therefore `a (b/a)^(w^k)`, where `w` is
//! the share of the way from one level to the next, and `k` is chosen so that the mean is the stated one.

use std::sync::LazyLock;

use hyperfake_predictor::Levels;

use super::{
    NS_PER_MS,
    run_time::{RunTime, levels},
};

/// What a row states, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Percentiles {
    /// The mean of all calls.
    pub(super) average: f64,
    /// At the levels of [`STATED`].
    pub(super) at: [f64; 7],
}

/// The levels that a row states.
pub(super) const STATED: [f64; 7] = [0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0];

/// What had to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Changes {
    /// Numbers below half a millisecond: the trace rounds to whole ones.
    pub(super) raised: bool,
    /// A percentile below the one before it.
    pub(super) sorted: bool,
    /// Percentiles with which no curve has the stated mean: all were changed by a factor.
    pub(super) scaled: bool,
}

/// What zero stands for where milliseconds are rounded: less than one, and half of that on average.
pub(super) const LEAST_MS: f64 = 0.5;

/// The shares of the way from p75 to p99, and from p99 to p100, at which the curve is stated.
const TO_P99: [f64; 6] = [0.05, 0.2, 0.4, 0.6, 0.8, 0.95];
const TO_P100: [f64; 4] = [0.25, 0.5, 0.75, 0.95];

/// The levels at which it is stated.
static LEVELS: LazyLock<Levels> = LazyLock::new(|| {
    let [p75, p99, p100] = [STATED[4], STATED[5], STATED[6]];
    let mut all = STATED[..5].to_vec();
    all.extend(TO_P99.map(|share| p75 + share * (p99 - p75)));
    all.push(p99);
    all.extend(TO_P100.map(|share| p99 + share * (p100 - p99)));
    all.push(p100);
    levels(&all)
});

/// The least and the greatest logarithm of `k` that are tried: the curve is then as good as a step.
const BOUNDS: [f64; 2] = [-5.0, 5.0];
/// How exact the mean is.
const EXACT: f64 = 1e-7;
const MOST_STEPS: usize = 60;

impl Percentiles {
    /// The distribution whose mean is the stated one and that has the stated percentiles, and what had to be
    /// changed for it.
    pub(super) fn run_time(mut self) -> (RunTime, Changes) {
        let mut changes = Changes::default();
        for number in self.at.iter_mut().chain([&mut self.average]) {
            if *number < LEAST_MS {
                *number = LEAST_MS;
                changes.raised = true;
            }
        }
        for index in 1..self.at.len() {
            if self.at[index] < self.at[index - 1] {
                self.at[index] = self.at[index - 1];
                changes.sorted = true;
            }
        }
        let mean_ns = self.average * NS_PER_MS;
        let [first, .., last] = self.at;
        if first >= last {
            changes.scaled = (self.average - last).abs() > EXACT * last;
            return (RunTime::constant(mean_ns), changes);
        }
        let mut quantiles = [0.0; 17];
        let mean = |bend: f64, quantiles: &mut [f64; 17]| {
            self.curve(bend.exp(), quantiles);
            LEVELS.mean(&*quantiles) / self.average - 1.0
        };
        // The larger the bend, the smaller the mean.
        let mut low = (BOUNDS[0], mean(BOUNDS[0], &mut quantiles));
        let mut high = (BOUNDS[1], mean(BOUNDS[1], &mut quantiles));
        let bend = if low.1 <= 0.0 {
            low.0
        } else if high.1 >= 0.0 {
            high.0
        } else {
            // Illinois' variant of the false position: a bracket stays, and both ends move.
            let mut bend = 0.0;
            let mut moved = 0;
            for _ in 0..MOST_STEPS {
                bend = (low.0 * high.1 - high.0 * low.1) / (high.1 - low.1);
                let error = mean(bend, &mut quantiles);
                if error.abs() < EXACT {
                    break;
                }
                if error > 0.0 {
                    low = (bend, error);
                    high.1 *= if moved == 1 { 0.5 } else { 1.0 };
                    moved = 1;
                } else {
                    high = (bend, error);
                    low.1 *= if moved == -1 { 0.5 } else { 1.0 };
                    moved = -1;
                }
            }
            bend
        };
        changes.scaled = mean(bend, &mut quantiles).abs() > 1e-3;
        quantiles.iter_mut().for_each(|quantile| *quantile *= NS_PER_MS);
        (RunTime::scaled(&LEVELS, quantiles.into(), mean_ns), changes)
    }

    /// The quantiles at [`LEVELS`], in milliseconds, with this bend.
    fn curve(&self, k: f64, quantiles: &mut [f64; 17]) {
        let [p75, p99, p100] = [self.at[4], self.at[5], self.at[6]];
        let between = |a: f64, b: f64, share: f64| a * (b / a).powf(share.powf(k));
        let curve = self.at[..5].iter().copied();
        let curve = curve.chain(TO_P99.map(|share| between(p75, p99, share))).chain([p99]);
        let curve = curve.chain(TO_P100.map(|share| between(p99, p100, share))).chain([p100]);
        quantiles.iter_mut().zip(curve).for_each(|(quantile, number)| *quantile = number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out elsewhere, by adding up the curve over 400,000 levels: the mean with this `k`, and the
    /// curve at the levels 0.87 and 0.995. Straight lines would give means of 389, 389 and 98 ms.
    #[test]
    fn the_bend_that_a_mean_was_made_with_is_found_again() {
        let first = [10.0, 20.0, 50.0, 100.0, 200.0, 2000.0, 10_000.0];
        let second = [1.0, 1.0, 2.0, 3.0, 5.0, 400.0, 9000.0];
        for (at, k, average, middle, high) in [
            (first, 0.5_f64, 379.575, 1018.912, 6241.32),
            (first, 2.0, 235.737, 355.656, 2990.698),
            (second, 5.0, 18.890, 5.734, 440.875),
        ] {
            let (run_time, changes) = Percentiles { average, at }.run_time();
            assert_eq!(changes, Changes::default(), "k = {k}");
            assert_eq!(run_time.mean_ns, average * NS_PER_MS);
            let (levels, quantiles) = run_time.quantiles.as_ref().unwrap();
            let mean = levels.mean(quantiles);
            assert!((mean / run_time.mean_ns - 1.0).abs() < 1e-9, "k = {k}: {mean}");
            let at = |level: f64| levels.at(quantiles, level) / NS_PER_MS;
            for (level, expected) in
                [(0.87, middle), (0.995, high), (0.5, at(0.5)), (0.99, at(0.99))]
            {
                // The curve is stated at some points, and between them it is nearly the same one.
                let error = (at(level) / expected - 1.0).abs();
                assert!(error < 0.1, "k = {k}: {} at {level}, not {expected}", at(level));
            }
        }
    }

    #[test]
    fn percentiles_that_contradict_their_mean_are_scaled_and_odd_ones_are_changed_and_counted() {
        let at = [10.0, 20.0, 50.0, 100.0, 200.0, 2000.0, 10_000.0];
        for (average, at, expected) in [
            (5000.0, at, Changes { scaled: true, ..Changes::default() }),
            (12.0, at, Changes { scaled: true, ..Changes::default() }),
            (0.0, [0.0; 7], Changes { raised: true, ..Changes::default() }),
            (
                100.0,
                [0.0, 0.0, 40.0, 100.0, 90.0, 300.0, 900.0],
                Changes { raised: true, sorted: true, ..Changes::default() },
            ),
            (7.0, [7.0; 7], Changes::default()),
            (9.0, [7.0; 7], Changes { scaled: true, ..Changes::default() }),
        ] {
            let (run_time, changes) = Percentiles { average, at }.run_time();
            assert_eq!(changes, expected, "{average}, {at:?}");
            let average_ns = average.max(LEAST_MS) * NS_PER_MS;
            assert_eq!(run_time.mean_ns, average_ns);
            if let Some((levels, quantiles)) = &run_time.quantiles {
                assert!((levels.mean(quantiles) / average_ns - 1.0).abs() < 1e-9);
                assert!(quantiles.is_sorted() && quantiles[0] > 0.0, "{quantiles:?}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn the_mean_is_the_stated_one_whatever_the_row_says(
            steps in proptest::array::uniform7(0.0..4.0_f64), part in 0.0..1.0_f64,
        ) {
            let mut at = [0.0; 7];
            let mut number = 1.0;
            for (at, step) in at.iter_mut().zip(steps) {
                number *= step.exp();
                *at = number.round();
            }
            let average = at[0] * (at[6] / at[0]).powf(part);
            let (run_time, _) = Percentiles { average, at }.run_time();
            if let Some((levels, quantiles)) = &run_time.quantiles {
                let mean = levels.mean(quantiles);
                proptest::prop_assert!((mean / (average.max(LEAST_MS) * NS_PER_MS) - 1.0).abs() < 1e-9);
                proptest::prop_assert!(quantiles.is_sorted());
            }
        }
    }
}
