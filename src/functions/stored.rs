//! The JSON in which HyperFaaS's key-value store of 2025 holds a function.

use std::time::Duration;

use serde::Deserialize;

use super::FunctionSpec;

/// A function.
#[derive(Debug, Deserialize)]
pub(super) struct Stored {
    image_tag: String,
    #[serde(default)]
    config: Config,
}

/// What a function may use; zero is "not stated".
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    /// Bytes.
    mem_limit: i64,
    /// CPU time in each period: `cpu_quota / cpu_period` is a number of cores.
    cpu_quota: i64,
    cpu_period: i64,
    /// Seconds without a call.
    timeout: i64,
    max_concurrency: i64,
}

/// An instance that may be idle for longer is as good as one that may be for ever: ten years.
const LONGEST_IDLE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl From<Stored> for FunctionSpec {
    fn from(stored: Stored) -> Self {
        let Config { mem_limit, cpu_quota, cpu_period, timeout, max_concurrency } = stored.config;
        let stated = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
        let quota = stated(cpu_quota).zip(stated(cpu_period));
        Self {
            image: stored.image_tag,
            memory_limit: stated(mem_limit),
            cpu_limit: quota.map(|(quota, period)| quota as f64 / period as f64),
            max_concurrency: stated(max_concurrency)
                .map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
            idle_timeout: stated(timeout)
                .map(|seconds| Duration::from_secs(seconds).min(LONGEST_IDLE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> FunctionSpec {
        serde_json::from_str::<Stored>(json).unwrap().into()
    }

    #[test]
    fn a_function_is_read_with_its_limits() {
        let json = r#"{
            "image_tag": "hyperfaas-echo:latest",
            "config": {
                "mem_limit": 134217728, "cpu_quota": 50000, "cpu_period": 100000,
                "timeout": 60, "max_concurrency": 500
            }
        }"#;
        let expected = FunctionSpec {
            image: "hyperfaas-echo:latest".into(),
            memory_limit: Some(128 << 20),
            cpu_limit: Some(0.5),
            max_concurrency: Some(500),
            idle_timeout: Some(Duration::from_secs(60)),
        };
        assert_eq!(spec(json), expected);
    }

    #[test]
    fn zero_negative_and_missing_limits_are_not_stated() {
        let expected = FunctionSpec { image: "a".into(), ..FunctionSpec::default() };
        assert_eq!(spec(r#"{"image_tag": "a"}"#), expected);
        let json = r#"{"image_tag": "a", "config": {"mem_limit": 0, "cpu_quota": 5, "cpu_period": 0,
            "timeout": -1, "max_concurrency": -5}}"#;
        assert_eq!(spec(json), expected);
        let long = r#"{"image_tag": "a", "config": {"timeout": 9223372036854775807}}"#;
        assert_eq!(spec(long).idle_timeout, Some(LONGEST_IDLE));
    }
}
