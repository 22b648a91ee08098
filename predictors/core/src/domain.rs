//! Where predictions are tried: the features that a model meets in a worker.

use crate::{Feature, Features, ModelInfo, Random, Range};

/// The features at which engines are tried and compared, the same for the same model.
///
/// ```
/// use hyperfake_predictor::{Domain, Features};
///
/// let domain = Domain::of(&[], &[]);
/// assert_eq!(domain.typical()[0], Features::IDLE);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Domain {
    /// For each feature what it reaches: the trained range, or zero to a busy worker's value.
    ranges: [(f64, f64); 5],
}

impl Domain {
    /// Of a model with these inputs; `trained` is empty, or as long as `inputs`.
    #[must_use]
    pub fn of(inputs: &[Feature], trained: &[Option<Range>]) -> Self {
        let ranges = Feature::ALL.map(|feature| {
            let column = inputs.iter().position(|input| *input == feature);
            let trained = column.and_then(|column| *trained.get(column)?);
            trained.map_or((0.0, busy(feature)), |range| (range.low(), range.high()))
        });
        Self { ranges }
    }

    /// Of a loaded model.
    #[must_use]
    pub fn of_model(info: &ModelInfo) -> Self {
        Self::of(&info.inputs, &info.trained)
    }

    /// Some 50 points: an idle, an ordinary, a busy and an overloaded worker; the corners and the
    /// inside of the trained range; each feature at its extremes while the others are ordinary.
    #[must_use]
    pub fn typical(&self) -> Vec<Features> {
        let mut points = vec![
            Features::IDLE,
            Features::from_array([640.0, 2.0, 3.0, 1.5, 4.2e7]),
            Features::from_array([12_345.0, 7.0, 60.0, 12.25, 1.5e9]),
            Features::from_array([1e6, 90.0, 450.0, 100.5, 9.9e10]),
            Features::from_array([17.0, 1.0, 1.0, 0.1, 8.1e6]),
        ];
        points.extend([0.0, 0.25, 0.5, 0.75, 1.0].map(|share| self.at([share; 5])));
        let mut random = Random::new(1, 0);
        for _ in 0..10 {
            points.push(self.at(std::array::from_fn(|_| random.fraction())));
        }
        for feature in Feature::ALL {
            let busy = busy(feature);
            for value in [0.0, 1.0, busy / 10.0, busy, 10.0 * busy] {
                let mut values = self.at([0.5; 5]).to_array();
                values[feature as usize] = value;
                points.push(Features::from_array(values));
            }
        }
        points
    }

    /// Some 300 points, for proofs: the typical ones, more within the trained range and around
    /// it, and log-spaced ones from 1 to 10^18 in each feature and in all of them.
    #[must_use]
    pub fn thorough(&self) -> Vec<Features> {
        let mut random = Random::new(2, 0);
        let mut points = self.typical();
        points.push(Features::from_array([0.0; 5]));
        for _ in 0..100 {
            points.push(self.at(std::array::from_fn(|_| random.fraction())));
        }
        for _ in 0..32 {
            points.push(self.at(std::array::from_fn(|_| 6.0 * random.fraction() - 2.5)));
        }
        for _ in 0..48 {
            points.push(Features::from_array(std::array::from_fn(|_| {
                10_f64.powf(12.0 * random.fraction())
            })));
        }
        for power in 0..=18 {
            let large = 10_f64.powi(power);
            points.push(Features::from_array([large; 5]));
            for feature in Feature::ALL {
                let mut values = self.at([0.5; 5]).to_array();
                values[feature as usize] = large;
                points.push(Features::from_array(values));
            }
        }
        points
    }

    /// A point at these shares of each feature's range.
    fn at(&self, shares: [f64; 5]) -> Features {
        Features::from_array(std::array::from_fn(|feature| {
            let (low, high) = self.ranges[feature];
            low + shares[feature] * (high - low)
        }))
    }
}

/// What a feature reaches on a busy worker.
fn busy(feature: Feature) -> f64 {
    match feature {
        Feature::RequestBytes => 4e6,
        Feature::FunctionInstances => 100.0,
        Feature::ActiveCalls => 1000.0,
        Feature::WorkerCpuCores => 64.0,
        Feature::WorkerRamBytes => 64e9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_within_the_trained_range_and_far_outside_it() {
        let range = Range::new(100.0, 200.0);
        let domain = Domain::of(&[Feature::RequestBytes], &[range]);
        let within = |features: &&Features| (100.0..=200.0).contains(&features.request_bytes);
        assert!(domain.typical().iter().filter(within).count() >= 15);
        assert!(domain.thorough().iter().filter(within).count() >= 115);
        assert!(domain.typical().iter().any(|features| features.request_bytes == 4e7));
        assert!(domain.thorough().iter().any(|features| features.request_bytes == 1e18));
        assert!(domain.thorough().contains(&Features::from_array([0.0; 5])));
    }

    #[test]
    fn a_model_without_a_trained_range_is_tried_from_idle_to_overloaded() {
        let domain = Domain::of(&Feature::ALL, &[]);
        assert!((40..60).contains(&domain.typical().len()), "{}", domain.typical().len());
        assert!((300..400).contains(&domain.thorough().len()), "{}", domain.thorough().len());
        assert!(domain.typical().iter().all(|features| {
            features.to_array().into_iter().all(|value| value >= 0.0 && value.is_finite())
        }));
    }
}
