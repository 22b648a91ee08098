//! What the server's page answers, as far as it is shown. Keys that are not known are passed over, and
//! so that a newer server is understood, those that are missing are empty.

use std::ops::Deref;

use serde::{Deserialize, Deserializer};

use crate::report::format;

/// Text that came from elsewhere, without anything that steers a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text(String);

/// What is served, and what happened before.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) run: Text,
    pub(super) version: Text,
    /// Unix time in seconds.
    pub(super) started: f64,
    pub(super) workers: Workers,
    pub(super) scenario: Scenario,
    pub(super) history: History,
    pub(super) snapshot: Option<Snapshot>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Workers {
    pub(super) names: Vec<Text>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Scenario {
    pub(super) name: Text,
}

/// An element for each of the last seconds, the oldest first.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct History {
    pub(super) rate: Vec<Vec<f64>>,
    pub(super) latency_s: Vec<Option<Vec<f64>>>,
}

/// A second.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Snapshot {
    pub(super) run: Text,
    pub(super) n: u64,
    /// Unix time in seconds.
    pub(super) at: f64,
    pub(super) totals: Totals,
    pub(super) workers: Columns,
    pub(super) functions: Vec<FunctionRow>,
    /// Of each function that has any: its place, and its instances.
    pub(super) function_instances: Vec<(usize, f64)>,
    pub(super) strip: Vec<StripRow>,
    pub(super) functions_version: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Totals {
    /// Calls that ended, per second, by outcome; the first is success.
    pub(super) rate: Vec<f64>,
    pub(super) active: f64,
    pub(super) queued: f64,
    /// Starting, idle, busy and stopping ones.
    pub(super) instances: Vec<f64>,
    pub(super) starts: f64,
    pub(super) stops: f64,
    pub(super) cold: Option<f64>,
    /// The 50th, 90th and 99th percentile, and the most.
    pub(super) latency_s: Option<Vec<f64>>,
    pub(super) cpu_cores: f64,
    pub(super) cpu_capacity_cores: f64,
    pub(super) ram_bytes: f64,
    pub(super) ram_capacity_bytes: f64,
}

/// An element for each worker.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Columns {
    pub(super) rate: Vec<f64>,
    pub(super) failed: Vec<f64>,
    pub(super) active: Vec<f64>,
    pub(super) instances: Vec<f64>,
    pub(super) cpu: Vec<f64>,
    pub(super) ram: Vec<f64>,
}

/// A function of which a call ended in this second.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct FunctionRow {
    pub(super) place: usize,
    pub(super) rate: f64,
    pub(super) failed: f64,
    pub(super) p50_s: Option<f64>,
    pub(super) p90_s: Option<f64>,
    pub(super) p99_s: Option<f64>,
    pub(super) cold: Option<f64>,
    pub(super) predicted_s: Option<f64>,
    pub(super) ran_s: Option<f64>,
}

/// An instance, and a letter for each of its last seconds.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct StripRow {
    pub(super) instance: Text,
    #[expect(dead_code, reason = "a row has it")]
    worker: usize,
    pub(super) function: usize,
    /// Unix time in seconds.
    #[expect(dead_code, reason = "a row has it")]
    created: f64,
    pub(super) cells: Text,
}

/// What the places of functions stand for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Functions {
    pub(super) functions: Vec<Function>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Function {
    pub(super) id: Text,
    pub(super) image: Text,
}

impl Totals {
    /// All calls that ended, per second.
    pub(super) fn ended(&self) -> f64 {
        self.rate.iter().sum()
    }

    /// Those that did not succeed.
    pub(super) fn failed(&self) -> f64 {
        self.rate.iter().skip(1).sum()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(format::foreign(text))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::from(&*text))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_worker_cannot_steer_the_terminal() {
        let functions =
            r#"{"functions": [{"id": "\u001b[2J\u009b\u202ea\u0007", "image": "b\nc"}]}"#;
        let functions: Functions = serde_json::from_str(functions).unwrap();
        assert_eq!(&*functions.functions[0].id, "\\u{1b}[2J\\u{9b}\\u{202e}a\\u{7}");
        assert_eq!(&*functions.functions[0].image, "b\\nc");
    }

    #[test]
    fn what_is_missing_is_empty_and_what_is_unknown_is_passed_over() {
        let state: State = serde_json::from_str(r#"{"run": "a", "new": {"b": [1]}}"#).unwrap();
        assert_eq!((&*state.run, state.workers.names.len()), ("a", 0));
        let row = r#"[3, 10.5, 0, 0.1, null, null, 0.5, null, 0.2]"#;
        let row: FunctionRow = serde_json::from_str(row).unwrap();
        assert_eq!((row.place, row.p50_s, row.p90_s, row.ran_s), (3, Some(0.1), None, Some(0.2)));
    }
}
