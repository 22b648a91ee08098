//! Features to ask a model with, the same in every run.

use hyperfake_predictor::{Features, Random};

/// Features as a worker sees them: an idle one first, then 63 more or less busy ones.
#[must_use]
pub fn ordinary() -> Vec<Features> {
    let mut random = Random::new(1, 0);
    let mut busy = || Features {
        request_bytes: (1e6 * random.fraction()).round(),
        function_instances: 1.0 + (39.0 * random.fraction()).round(),
        active_calls: (100.0 * random.fraction()).round(),
        worker_cpu_cores: 32.0 * random.fraction(),
        worker_ram_bytes: (16e9 * random.fraction()).round(),
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
