use std::{collections::BTreeMap, fmt::Write};

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::{Histogram, Percentiles, format, json};

/// What `hyperfake call` shows: one function, its instance, and the calls of it.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct CallReport {
    /// What the function was registered with, unless it was named by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    pub(crate) function_id: String,
    /// The instance that ran the calls, if it is known and only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance_name: Option<String>,
    /// How many calls succeeded.
    pub(crate) calls: usize,
    /// How many calls failed, by the code and text of the answer.
    pub(crate) errors: BTreeMap<String, u64>,
    /// From the first call to the end of the last.
    pub(crate) seconds: f64,
    /// From asking for the instance until it could run a call; a leaf asks by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cold_start_ns: Option<u64>,
    /// The run times that the worker predicted.
    pub(crate) predicted_ns: Option<Percentiles<f64>>,
    /// The run times that the client saw.
    pub(crate) observed_ns: Option<Percentiles<f64>>,
    /// How they are distributed, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observed_histogram: Option<Histogram>,
    /// Observed minus predicted.
    pub(crate) difference_ns: Option<Percentiles<f64>>,
    pub(crate) cpu_cores: Option<Percentiles<f64>>,
    pub(crate) ram_bytes: Option<Percentiles<f64>>,
    /// What one call through a leaf was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Answer>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Of a type that is known.
    Json(serde_json::Value),
    /// As it is on the wire.
    Bytes(Bytes),
}

impl CallReport {
    pub(crate) fn succeeded(&self) -> bool {
        self.errors.is_empty()
    }

    pub(crate) fn json(&self) -> String {
        json(self)
    }

    pub(crate) fn text(&self) -> String {
        let named = |id: &str, name: &Option<String>| match name {
            Some(name) => format!("{id} ({name})"),
            None => id.to_owned(),
        };
        let mut text = format!("function    {}\n", named(&self.function_id, &self.image));
        if let Some(id) = &self.instance_id {
            text += &format!("instance    {}\n", named(id, &self.instance_name));
        }
        if let Some(cold_start) = self.cold_start_ns {
            text += &format!("cold start  {}\n", format::nanoseconds(cold_start as f64));
        }
        let failed: u64 = self.errors.values().sum();
        if self.calls as u64 + failed > 1 {
            let rate = self.calls as f64 / self.seconds;
            text += &format!(
                "calls       {} in {} ({rate:.0} each second)\n            {:>10} {:>10} {:>10} {:>10}\n",
                self.calls,
                format::nanoseconds(self.seconds * 1e9),
                "p50",
                "p90",
                "p99",
                "max"
            );
        }
        for (name, percentiles, show) in self.rows() {
            let Some(Percentiles { p50, p90, p99, max, .. }) = percentiles else { continue };
            text += &match self.calls {
                1 => format!("{name:<11} {}\n", show(p50)),
                _ => {
                    let [p50, p90, p99, max] = [p50, p90, p99, max].map(show);
                    format!("{name:<11} {p50:>10} {p90:>10} {p99:>10} {max:>10}\n")
                }
            };
        }
        if let Some(histogram) = &self.observed_histogram {
            text += &format!("{}\n", histogram.text());
        }
        if let Some(answer) = &self.answer {
            text += &format!("answer      {}\n", answer.text());
        }
        for (error, count) in &self.errors {
            text += &format!("failed      {count} x {error}\n");
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn rows(&self) -> [Row; 5] {
        [
            ("predicted", self.predicted_ns, format::nanoseconds),
            ("observed", self.observed_ns, format::nanoseconds),
            ("difference", self.difference_ns, format::nanoseconds),
            ("cpu", self.cpu_cores, |cores| format!("{cores:.3}")),
            ("ram", self.ram_bytes, format::bytes),
        ]
    }
}

impl Answer {
    /// On one line.
    fn text(&self) -> String {
        /// The most bytes that are shown.
        const SHOWN: usize = 64;
        match self {
            Self::Json(json) => format::visible(&json.to_string()),
            Self::Bytes(bytes) if bytes.len() > SHOWN => {
                format!("{}… ({} bytes)", hex(&bytes[..SHOWN]), bytes.len())
            }
            Self::Bytes(bytes) => hex(bytes),
        }
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(json) => json.serialize(serializer),
            Self::Bytes(bytes) => serializer.serialize_str(&hex(bytes)),
        }
    }
}

/// Bytes as `--response` takes them.
fn hex(bytes: &[u8]) -> String {
    let mut text = "hex:".to_owned();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A row of the text: its name, its numbers, and how one of them is written.
type Row = (&'static str, Option<Percentiles<f64>>, fn(f64) -> String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_of_one_kind_are_counted_as_five_calls() {
        let errors = BTreeMap::from([("Unavailable: no".to_owned(), 5)]);
        let report = CallReport { errors, seconds: 1.0, ..CallReport::default() };
        let text = report.text();
        assert!(text.contains("calls       0 in 1 s (0 each second)"), "{text}");
        assert!(text.contains("failed      5 x Unavailable: no"), "{text}");
        assert!(!report.succeeded());
    }

    #[test]
    fn an_answer_is_one_line_that_cannot_steer_a_terminal() {
        let shown = |answer| {
            let report = CallReport { answer: Some(answer), calls: 1, ..CallReport::default() };
            (report.text().lines().last().unwrap().to_owned(), report.json())
        };
        let (text, json) = shown(Answer::Json(serde_json::json!({"a": "\u{9b}2J\n\u{202e}é🚀"})));
        let escaped = r#"{"a":"\u009b2J\n\u202eé🚀"}"#;
        assert_eq!(text, format!("answer      {escaped}"));
        assert!(json.contains(r#""a": "\u009b2J\n\u202eé🚀""#), "{json}");
        let (text, json) = shown(Answer::Bytes(vec![0xab; 65].into()));
        assert_eq!(text, format!("answer      hex:{}… (65 bytes)", "ab".repeat(64)));
        assert!(json.contains(&format!("\"hex:{}\"", "ab".repeat(65))), "{json}");
        assert_eq!(shown(Answer::Bytes(Bytes::new())).0, "answer      hex:");
    }
}
