use std::collections::BTreeMap;

use serde::Serialize;

use super::{Percentiles, format, json};

/// What `hyperfake call` shows: one function, its instance, and the calls of it.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct CallReport {
    pub(crate) image: String,
    pub(crate) function_id: String,
    pub(crate) instance_id: String,
    pub(crate) instance_name: String,
    /// How many calls succeeded.
    pub(crate) calls: usize,
    /// How many calls failed, by the code and text of the answer.
    pub(crate) errors: BTreeMap<String, u64>,
    /// From the first call to the end of the last.
    pub(crate) seconds: f64,
    /// From asking for the instance until it could run a call.
    pub(crate) cold_start_ns: u64,
    /// The run times that the worker predicted.
    pub(crate) predicted_ns: Option<Percentiles<f64>>,
    /// The run times that the client saw.
    pub(crate) observed_ns: Option<Percentiles<f64>>,
    /// Observed minus predicted.
    pub(crate) difference_ns: Option<Percentiles<f64>>,
    pub(crate) cpu_cores: Option<Percentiles<f64>>,
    pub(crate) ram_bytes: Option<Percentiles<f64>>,
}

impl CallReport {
    pub(crate) fn succeeded(&self) -> bool {
        self.errors.is_empty()
    }

    pub(crate) fn json(&self) -> String {
        json(self)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "function    {} ({})\ninstance    {} ({})\ncold start  {}\n",
            self.function_id,
            self.image,
            self.instance_id,
            self.instance_name,
            format::nanoseconds(self.cold_start_ns as f64),
        );
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
}
