//! The JSON in which HyperFaaS's key-value store of 2025 holds a function.

use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::{
    FunctionSpec,
    metadata::{self, Cpu, Image, Metadata},
};

/// A function.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    image_tag: String,
    #[serde(default)]
    config: Config,
}

/// What a function may use; zero is "not stated".
#[derive(Debug, Default, Serialize, Deserialize)]
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

impl From<Stored> for FunctionSpec {
    fn from(stored: Stored) -> Self {
        Metadata::from(stored).into()
    }
}

impl From<Stored> for Metadata {
    fn from(stored: Stored) -> Self {
        let Config { mem_limit, cpu_quota, cpu_period, timeout, max_concurrency } = stored.config;
        let cpu = Cpu { period: cpu_period, quota: cpu_quota, ..Cpu::default() };
        let cpu = (cpu != Cpu::default()).then_some(cpu);
        let unknown = Map::new();
        let config = metadata::Config { memory: mem_limit, cpu, timeout, max_concurrency, unknown };
        let config = (config != metadata::Config::default()).then_some(config);
        let image = Image { tag: stored.image_tag, ..Image::default() };
        Self { image: Some(image), config, ..Self::default() }
    }
}

impl From<Metadata> for Stored {
    fn from(metadata: Metadata) -> Self {
        let config = metadata.config.unwrap_or_default();
        let cpu = config.cpu.unwrap_or_default();
        let image_tag = metadata.image.unwrap_or_default().tag;
        let config = Config {
            mem_limit: config.memory,
            cpu_quota: cpu.quota,
            cpu_period: cpu.period,
            timeout: config.timeout,
            max_concurrency: config.max_concurrency,
        };
        Self { image_tag, config }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::functions::LONGEST_IDLE;

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
            cpu_period: Some(Duration::from_millis(100)),
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
