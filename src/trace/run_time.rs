use std::sync::LazyLock;

use hyperfake_predictor::{Levels, Random};

/// How long the calls of a function run.
#[derive(Debug, Clone)]
pub struct RunTime {
    /// The mean, in nanoseconds.
    pub mean_ns: f64,
    /// The quantiles at the levels, in nanoseconds; none when all calls take the mean.
    pub(super) quantiles: Option<(&'static Levels, Box<[f64]>)>,
}

impl RunTime {
    /// All calls take as long.
    #[must_use]
    pub fn constant(mean_ns: f64) -> Self {
        Self { mean_ns, quantiles: None }
    }

    /// These quantiles, all changed by the factor that makes their mean this one.
    pub(super) fn scaled(levels: &'static Levels, mut quantiles: Box<[f64]>, mean_ns: f64) -> Self {
        let factor = mean_ns / levels.mean(&quantiles);
        quantiles.iter_mut().for_each(|quantile| *quantile *= factor);
        Self { mean_ns, quantiles: Some((levels, quantiles)) }
    }

    /// The quantiles, and their levels.
    #[must_use]
    pub fn quantiles(&self) -> Option<(&[f64], &[f64])> {
        let (levels, quantiles) = self.quantiles.as_ref()?;
        Some((levels.as_slice(), quantiles))
    }
}

/// The run times of a function's calls, one by one. A part of them is kept, drawn at random, and the mean is
/// that of all.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    count: f64,
    sum: f64,
    least: f64,
    most: f64,
    kept: Vec<f32>,
    random: Random,
}

/// The run times that are kept of a function: p99.9 is then the second largest of a thousand.
const KEPT: usize = 2048;

/// The levels of the quantiles of a sample: close to each other where the tails are.
static LEVELS: LazyLock<Levels> = LazyLock::new(|| {
    levels(&[
        0.0, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6,
        0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99, 0.995, 0.999, 1.0,
    ])
});

/// Levels that are stated here.
pub(super) fn levels(levels: &[f64]) -> Levels {
    match Levels::new(levels.to_vec()) {
        Ok(levels) => levels,
        Err(error) => unreachable!("{error}"),
    }
}

impl Sample {
    /// None yet; the number chooses which are kept.
    pub(super) fn new(key: u64) -> Self {
        let random = Random::new(key, 1);
        Self { count: 0.0, sum: 0.0, least: f64::INFINITY, most: 0.0, kept: Vec::new(), random }
    }

    /// Adds a run time in nanoseconds, which stands for so many calls.
    pub(super) fn add(&mut self, run_ns: f64, calls: f64) {
        self.count += calls;
        self.sum += calls * run_ns;
        self.least = self.least.min(run_ns);
        self.most = self.most.max(run_ns);
        if self.kept.len() < KEPT {
            return self.kept.push(run_ns as f32);
        }
        // Each is kept with a chance of its calls over all so far.
        if self.random.fraction() * self.count < KEPT as f64 * calls {
            let place = self.random.below(KEPT);
            self.kept[place] = run_ns as f32;
        }
    }

    /// How they are distributed. Run times below `least_ns` are raised to it: a model knows none of zero.
    pub(super) fn run_time(mut self, least_ns: f64) -> Option<RunTime> {
        if self.count <= 0.0 {
            return None;
        }
        let mean_ns = (self.sum / self.count).max(least_ns);
        if self.least >= self.most || self.most <= least_ns {
            return Some(RunTime::constant(mean_ns));
        }
        self.kept.sort_unstable_by(f32::total_cmp);
        let at = |level: f64| {
            let place = level * (self.kept.len() - 1) as f64;
            let (below, part) = (place.floor() as usize, place.fract());
            let next = (below + 1).min(self.kept.len() - 1);
            let [below, next] = [below, next].map(|index| f64::from(self.kept[index]));
            (below + part * (next - below)).clamp(self.least, self.most)
        };
        let mut quantiles: Box<[f64]> = LEVELS.as_slice().iter().map(|level| at(*level)).collect();
        if let [first, .., last] = &mut *quantiles {
            (*first, *last) = (self.least, self.most);
        }
        quantiles.iter_mut().for_each(|quantile| *quantile = quantile.max(least_ns));
        Some(RunTime::scaled(&LEVELS, quantiles, mean_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of what is drawn at equally spaced levels.
    fn drawn_mean(run_time: &RunTime) -> f64 {
        let (levels, quantiles) = run_time.quantiles.as_ref().unwrap();
        let draws = 200_000;
        let level = |draw: i32| (f64::from(draw) + 0.5) / f64::from(draws);
        (0..draws).map(|draw| levels.at(quantiles, level(draw))).sum::<f64>() / f64::from(draws)
    }

    #[test]
    fn a_sample_keeps_the_mean_and_the_quantiles() {
        // Exponential with a mean of 10 ms: the median is 10 ms * ln 2 and p99 10 ms * ln 100.
        let mut sample = Sample::new(7);
        let count = 50_000;
        for number in 0..count {
            // In an order that has nothing to do with their sizes.
            let place = (number * 7919) % count;
            let level = (f64::from(place) + 0.5) / f64::from(count);
            sample.add(-10e6 * (1.0 - level).ln(), 1.0);
        }
        let run_time = sample.run_time(1.0).unwrap();
        assert!((run_time.mean_ns / 10e6 - 1.0).abs() < 1e-3, "{}", run_time.mean_ns);
        let mean = drawn_mean(&run_time);
        assert!((mean / run_time.mean_ns - 1.0).abs() < 1e-3, "{mean}");
        let (levels, quantiles) = run_time.quantiles.as_ref().unwrap();
        for (level, expected, error) in
            [(0.5, 6.93e6, 0.1), (0.9, 23.03e6, 0.1), (0.99, 46.05e6, 0.2)]
        {
            let found = levels.at(quantiles, level);
            assert!((found / expected - 1.0).abs() < error, "p{level}: {found}");
        }
    }

    #[test]
    fn run_times_that_are_all_the_same_are_a_constant_and_zero_is_raised() {
        let mut sample = Sample::new(1);
        assert!(sample.clone().run_time(1.0).is_none());
        sample.add(5.0, 3.0);
        sample.add(5.0, 1.0);
        let run_time = sample.run_time(1.0).unwrap();
        assert_eq!((run_time.mean_ns, run_time.quantiles()), (5.0, None));
        let mut sample = Sample::new(1);
        sample.add(0.0, 1.0);
        sample.add(2e6, 1.0);
        let run_time = sample.run_time(5e5).unwrap();
        assert_eq!(run_time.mean_ns, 1e6);
        assert!(run_time.quantiles().unwrap().1.iter().all(|quantile| *quantile > 0.0));
    }
}
