use std::sync::LazyLock;

use hyperfake_predictor::Levels;

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

/// The run times of a function's calls: how many there were in each bin, ascending, and their sum. A bin is
/// a hundredth wide, so that a quantile is as exact, however many calls there are.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    bins: Vec<Bin>,
    least: f64,
    most: f64,
}

#[derive(Debug, Clone, Copy)]
struct Bin {
    place: i32,
    calls: f64,
    sum: f64,
}

/// The logarithm of one bin's end over its begin.
const WIDTH: f64 = 0.01;

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
    /// None yet.
    pub(super) fn new() -> Self {
        Self { bins: Vec::new(), least: f64::INFINITY, most: 0.0 }
    }

    /// Adds a run time in nanoseconds, which stands for so many calls, at least one.
    pub(super) fn add(&mut self, run_ns: f64, calls: f64) {
        self.least = self.least.min(run_ns);
        self.most = self.most.max(run_ns);
        // Zero, whose logarithm is infinite, has the least place of all.
        let place = (libm::log(run_ns) / WIDTH).floor() as i32;
        let index = match self.bins.binary_search_by_key(&place, |bin| bin.place) {
            Ok(index) => index,
            Err(index) => {
                self.bins.insert(index, Bin { place, calls: 0.0, sum: 0.0 });
                index
            }
        };
        let bin = &mut self.bins[index];
        bin.calls += calls;
        bin.sum += calls * run_ns;
    }

    /// How they are distributed. Run times below `least_ns` are raised to it: a model knows none of zero.
    pub(super) fn run_time(self, least_ns: f64) -> Option<RunTime> {
        if self.bins.is_empty() {
            return None;
        }
        let mut count = 0.0;
        // How many calls there are up to the end of each bin, and what each call of the bin counts as.
        let bins = self.bins.iter().map(|bin| {
            count += bin.calls;
            (count, bin.sum / bin.calls)
        });
        let bins: Vec<_> = bins.collect();
        let sum: f64 = self.bins.iter().map(|bin| bin.sum).sum();
        let mean_ns = (sum / count).max(least_ns);
        if self.least >= self.most || self.most <= least_ns {
            return Some(RunTime::constant(mean_ns));
        }
        // The run time of a call by its number in the order of run times.
        let of_call = |number: f64| {
            let bin = bins.partition_point(|(end, _)| *end <= number);
            bins[bin.min(bins.len() - 1)].1
        };
        let at = |level: f64| {
            let place = level * (count - 1.0);
            let (below, next) = (of_call(place.floor()), of_call(place.floor() + 1.0));
            below + place.fract() * (next - below)
        };
        let mut quantiles: Box<[f64]> = LEVELS.as_slice().iter().map(|level| at(*level)).collect();
        if let [first, .., last] = &mut *quantiles {
            (*first, *last) = (self.least, self.most);
        }
        let quantile =
            |quantile: &mut f64| *quantile = quantile.clamp(self.least, self.most).max(least_ns);
        quantiles.iter_mut().for_each(quantile);
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
        let mut sample = Sample::new();
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
        for (level, expected) in
            [(0.5, 6.931e6), (0.9, 23.026e6), (0.99, 46.052e6), (0.999, 69.078e6)]
        {
            let found = levels.at(quantiles, level);
            assert!((found / expected - 1.0).abs() < 0.01, "p{level}: {found}");
        }
    }

    /// Of 2439 calls 1439 take 0.1 s and 1000 take 1 s, in 1440 minutes of which one is busy: 59 % take 0.1 s,
    /// so the median is 0.1 s and p90 is 1 s, whatever most minutes say.
    #[test]
    fn a_minute_counts_as_often_as_it_has_calls() {
        let mut sample = Sample::new();
        for minute in 0..1440 {
            match minute {
                700 => sample.add(1e9, 1000.0),
                _ => sample.add(1e8, 1.0),
            }
        }
        let run_time = sample.run_time(1.0).unwrap();
        assert!((run_time.mean_ns / (1143.9e9 / 2439.0) - 1.0).abs() < 1e-9);
        let (levels, quantiles) = run_time.quantiles.as_ref().unwrap();
        for (level, expected) in [(0.0, 1e8), (0.5, 1e8), (0.9, 1e9), (1.0, 1e9)] {
            let found = levels.at(quantiles, level);
            // All are changed by the factor that keeps the mean.
            assert!((found / expected - 1.0).abs() < 0.03, "{level}: {found}");
        }
    }

    #[test]
    fn run_times_that_are_all_the_same_are_a_constant_and_zero_is_raised() {
        let mut sample = Sample::new();
        assert!(sample.clone().run_time(1.0).is_none());
        sample.add(5.0, 3.0);
        sample.add(5.0, 1.0);
        let run_time = sample.run_time(1.0).unwrap();
        assert_eq!((run_time.mean_ns, run_time.quantiles()), (5.0, None));
        let mut sample = Sample::new();
        sample.add(0.0, 1.0);
        sample.add(2e6, 1.0);
        let run_time = sample.run_time(5e5).unwrap();
        assert_eq!(run_time.mean_ns, 1e6);
        assert!(run_time.quantiles().unwrap().1.iter().all(|quantile| *quantile > 0.0));
    }
}
