//! Features to ask a model with, the same in every run.

use hyperfake_predictor::Features;

/// Features as a worker sees them: an idle one first, then 63 more or less busy ones.
#[must_use]
pub fn ordinary() -> Vec<Features> {
    let mut numbers = Numbers::new(1);
    let mut busy = || Features {
        request_bytes: (1e6 * numbers.unit()).round(),
        function_instances: 1.0 + (39.0 * numbers.unit()).round(),
        active_calls: (100.0 * numbers.unit()).round(),
        worker_cpu_cores: 32.0 * numbers.unit(),
        worker_ram_bytes: (16e9 * numbers.unit()).round(),
    };
    let mut samples = vec![Features::IDLE];
    samples.extend((0..63).map(|_| busy()));
    samples
}

/// Features that no worker should ever see: each odd number in each column, then in all of them.
#[must_use]
pub fn odd() -> Vec<Features> {
    const NUMBERS: [f64; 10] = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE / 2.0,
        -0.0,
        -1.0,
        1e30,
        -1e30,
    ];
    let mut samples = Vec::new();
    for number in NUMBERS {
        for column in 0..5 {
            let mut values = Features::IDLE.to_array();
            values[column] = number;
            samples.push(Features::from_array(values));
        }
        samples.push(Features::from_array([number; 5]));
    }
    samples
}

/// A small generator of numbers that look random (SplitMix64).
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, but without, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_features_are_the_same_every_time_and_all_different() {
        let samples = ordinary();
        assert_eq!(samples, ordinary());
        for (index, sample) in samples.iter().enumerate() {
            assert!(!samples[..index].contains(sample));
            assert!(sample.to_array().iter().all(|value| value.is_finite() && *value >= 0.0));
        }
    }
}
