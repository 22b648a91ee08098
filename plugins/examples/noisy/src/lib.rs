//! A plugin that adds log-normal noise to the means of a base model.
//!
//! Its configuration gives the means and how much they scatter:
//!
//! ```json
//! {"runtime_ns": 7000000, "cpu_cores": 0.5, "ram_bytes": 8000000, "sigma": 0.2, "seed": 1}
//! ```
//!
//! Each answer is a mean times `exp(sigma z - sigma^2 / 2)`, where `z` is standard normal and drawn
//! for each of the three numbers by itself. The factor has the mean 1, so over many calls the means
//! stay what they are; it is never negative; and `sigma` is about the relative scatter: with 0.2, two
//! answers of three are within 20 % of the median. Without `sigma` or with 0 there is no noise.
//!
//! `seed` (default 0) is where the numbers begin. Each instance continues with numbers of its own, in
//! the order in which instances are made. So one thread repeats itself from run to run; with several,
//! which call gets which number depends on the threads.

mod random;

use std::sync::atomic::{AtomicU64, Ordering};

use hyperfake_plugin_sdk::{Features, Prediction, Predictor, Result, export_predictor};
use serde::Deserialize;

use crate::random::Random;

/// Log-normal noise around constant means.
#[derive(Debug)]
pub struct Noisy {
    config: Config,
    random: Random,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    runtime_ns: f64,
    cpu_cores: f64,
    ram_bytes: f64,
    #[serde(default)]
    sigma: f64,
    #[serde(default)]
    seed: u64,
}

/// How many instances there were: each needs other numbers, or all threads would make the same noise.
static INSTANCES: AtomicU64 = AtomicU64::new(0);

impl Predictor for Noisy {
    const RANDOM: bool = true;

    fn create(config: &str) -> Result<Self> {
        let config: Config = serde_json::from_str(config)?;
        for (field, value) in [
            ("runtime_ns", config.runtime_ns),
            ("cpu_cores", config.cpu_cores),
            ("ram_bytes", config.ram_bytes),
            ("sigma", config.sigma),
        ] {
            if value < 0.0 {
                return Err(format!("{field}: found {value}, expected 0 or more").into());
            }
        }
        let random = Random::new(config.seed, INSTANCES.fetch_add(1, Ordering::Relaxed));
        Ok(Self { config, random })
    }

    fn predict(&self, _: &Features) -> Result<Prediction> {
        let Config { runtime_ns, cpu_cores, ram_bytes, .. } = self.config;
        Ok(Prediction {
            runtime_ns: runtime_ns * self.factor(),
            cpu_cores: cpu_cores * self.factor(),
            ram_bytes: ram_bytes * self.factor(),
        })
    }
}

impl Noisy {
    /// Log-normal with the mean 1; exactly 1 without noise.
    fn factor(&self) -> f64 {
        let sigma = self.config.sigma;
        (sigma * self.random.normal() - sigma * sigma / 2.0).exp()
    }
}

export_predictor!(Noisy);

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Features = Features {
        request_bytes: 0.0,
        function_instances: 1.0,
        active_calls: 0.0,
        worker_cpu_cores: 0.0,
        worker_ram_bytes: 0.0,
    };

    fn noisy(sigma: f64) -> Noisy {
        Noisy::create(&format!(
            r#"{{"runtime_ns": 7e6, "cpu_cores": 0.5, "ram_bytes": 8e6, "sigma": {sigma}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn it_has_the_properties_of_a_predictor() {
        hyperfake_plugin_testkit::conforms::<Noisy>(
            r#"{"runtime_ns": 7e6, "cpu_cores": 0.5, "ram_bytes": 8e6}"#,
            |_| Prediction { runtime_ns: 7e6, cpu_cores: 0.5, ram_bytes: 8e6 },
        );
    }

    #[test]
    fn noise_has_the_configured_mean_and_deviation() {
        const DRAWS: usize = 100_000;
        let noisy = noisy(0.2);
        let runtimes: Vec<_> =
            (0..DRAWS).map(|_| noisy.predict(&IDLE).unwrap().runtime_ns / 7e6).collect();
        let mean = runtimes.iter().sum::<f64>() / DRAWS as f64;
        let logs: Vec<_> = runtimes.iter().map(|factor| factor.ln() + 0.02).collect();
        let deviation = (logs.iter().map(|log| log * log).sum::<f64>() / DRAWS as f64).sqrt();
        assert!((mean - 1.0).abs() < 0.005, "{mean}");
        assert!((deviation - 0.2).abs() < 0.005, "{deviation}");
    }

    #[test]
    fn two_instances_make_different_noise() {
        let (first, second) = (noisy(0.2), noisy(0.2));
        assert_ne!(first.predict(&IDLE).unwrap(), second.predict(&IDLE).unwrap());
    }

    #[test]
    fn an_invalid_configuration_is_refused() {
        for (config, expected) in [
            ("{}", "missing field `runtime_ns`"),
            (r#"{"runtime_ns": "soon"}"#, "invalid type: string"),
            (r#"{"runtime": 1}"#, "unknown field `runtime`"),
            (
                r#"{"runtime_ns": 1, "cpu_cores": 1, "ram_bytes": 1, "sigma": -0.1}"#,
                "sigma: found -0.1, expected 0 or more",
            ),
        ] {
            let error = Noisy::create(config).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
