use serde::Serialize;

use super::{
    distance::{Distance, Weighted, distance},
    noise,
    sample::Sample,
};

/// One distance of the fake from the real, beside the same of what is as good and as bad as can be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measure {
    /// Fake against real.
    pub fake: f64,
    /// Where that is in 19 of 20 cases, by a block bootstrap of the calls of both.
    pub interval: Option<[f64; 2]>,
    /// Real against real.
    pub real: f64,
    /// Against real, a fake that always answers the mean of all real numbers.
    pub mean: f64,
    /// Against the real of some load, a fake that answers with the distribution of all loads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<f64>,
    /// From 0, as near as the real is to itself, to 1, as far as the mean, and more. Nothing where the real
    /// is about as far from itself as from its mean.
    pub score: Option<f64>,
    /// The scores of the interval: how exactly `real` and `mean` are known is left out.
    pub score_interval: Option<[f64; 2]>,
    /// The same where 1 is as far as the distribution of all loads; nothing where the load changes next
    /// to nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_quantiles: Option<f64>,
}

/// The distances of the distribution of run times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distances {
    /// The area between the two distribution functions, over the median of the real.
    pub wasserstein: Measure,
    /// The greatest difference of the two distribution functions.
    pub ks: Measure,
    /// The greatest relative error of the percentiles 50, 90 and 99.
    pub worst_quantile: Measure,
}

/// The least difference between real and baseline that counts: a thousandth of the median (or of the
/// calls). Real run times that do not vary by more would make anything infinitely bad.
pub(super) const RESOLUTION: f64 = 0.001;

/// Half of the width of an interval, in standard deviations.
const REACH: f64 = 1.96;

/// The least difference between real and baseline that counts, as a share of the real: half of what chance
/// alone does says nothing.
const LEAST: f64 = 0.5;

/// Zero is as near as the real is to itself; one as far as the baseline. Nothing where the real varies, and
/// is about as far from itself as from the baseline: near and far fakes cannot be told apart there.
pub(super) fn score(fake: f64, real: f64, base: f64) -> Option<f64> {
    let is_told = real <= RESOLUTION || base - real > LEAST * real;
    is_told.then(|| ((fake - real) / (base - real).max(RESOLUTION)).max(0.0))
}

/// The same against a baseline that may be as good as the real where the real hardly varies: nothing then.
pub(super) fn score_against(fake: f64, real: f64, base: f64) -> Option<f64> {
    score(fake, real, base).filter(|_| base - real > RESOLUTION)
}

/// The samples of a comparison.
#[derive(Debug, Clone, Copy)]
pub(super) struct Samples<'a> {
    pub(super) real: &'a Sample,
    pub(super) fake: &'a Sample,
    /// A second run of the real.
    pub(super) repeat: Option<&'a Sample>,
    /// What the baselines are made of: all real numbers, of which the sample may be a part.
    pub(super) whole: &'a Sample,
}

/// All distances of a comparison: fake, real, mean and unconditional quantiles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Four {
    pub(super) fake: Distance,
    pub(super) real: Distance,
    pub(super) mean: Distance,
    pub(super) quantiles: Distance,
}

impl Samples<'_> {
    /// Nothing where a sample is empty.
    pub(super) fn distances(&self) -> Option<Four> {
        let scale = self.whole.scale();
        let real = Weighted::all(self.real);
        let to = |sample: &Sample| distance(real, Weighted::all(sample), scale);
        Some(Four {
            fake: to(self.fake)?,
            real: match self.repeat.filter(|repeat| !repeat.is_empty()) {
                Some(repeat) => noise::between_runs(self.real, repeat, self.fake.len(), scale)?,
                None => noise::by_chance(self.real, self.fake.len(), scale),
            },
            mean: to(&Sample::constant(self.whole.mean()))?,
            quantiles: to(self.whole)?,
        })
    }

    /// The distances without those of the unconditional quantiles, with intervals.
    pub(super) fn measured(&self, seed: u64) -> Option<Distances> {
        let four = self.distances()?;
        let deviations = noise::deviations(self.real, self.fake, self.whole.scale(), seed);
        let measure = |of: fn(&Distance) -> f64, most: f64| {
            let measure = Measure::new(of(&four.fake), of(&four.real), of(&four.mean));
            measure.with_deviation(of(&deviations), most)
        };
        Some(Distances {
            wasserstein: measure(|distance| distance.wasserstein, f64::INFINITY),
            ks: measure(|distance| distance.ks, 1.0),
            worst_quantile: measure(|distance| distance.worst_quantile, f64::INFINITY),
        })
    }
}

impl Measure {
    pub(super) fn new(fake: f64, real: f64, mean: f64) -> Self {
        Self {
            fake,
            interval: None,
            real,
            mean,
            quantiles: None,
            score: score(fake, real, mean),
            score_interval: None,
            score_quantiles: None,
        }
    }

    pub(super) fn with_quantiles(self, quantiles: f64) -> Self {
        let score_quantiles = score_against(self.fake, self.real, quantiles);
        Self { quantiles: Some(quantiles), score_quantiles, ..self }
    }

    fn with_deviation(self, deviation: f64, most: f64) -> Self {
        let reach = REACH * deviation;
        let [low, high] = [(self.fake - reach).max(0.0), (self.fake + reach).min(most)];
        let score = |fake| score(fake, self.real, self.mean);
        Self {
            interval: Some([low, high]),
            score_interval: score(low).zip(score(high)).map(|(low, high)| [low, high]),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_that_is_as_far_from_itself_as_from_the_baseline_gives_no_score() {
        assert_eq!(score(0.5, 0.25, 0.75), Some(0.5));
        assert_eq!(score(0.1, 0.25, 0.75), Some(0.0));
        // 0.375 is half as much again.
        for base in [0.0, 0.24, 0.25, 0.251, 0.37] {
            assert_eq!(score(0.9, 0.25, base), None, "{base}");
            assert_eq!(score_against(0.9, 0.25, base), None, "{base}");
        }
        assert!(score(0.9, 0.25, 0.38).is_some());
        // Run times that do not vary at all: a fake that is wrong by a tenth is wrong.
        assert_eq!(score(0.1, 0.0, 0.0), Some(100.0));
        assert_eq!(score_against(0.1, 0.0, 0.0), None);
    }
}
