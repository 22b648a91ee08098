use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;

use super::{Percentiles, format, json};

/// What `hyperfake measure` shows.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct MeasureReport {
    pub(crate) function: String,
    /// From the start of each process until it took connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cold_start_ns: Option<Percentiles<u64>>,
    pub(crate) levels: Vec<Level>,
    /// How many calls failed, by code.
    pub(crate) errors: BTreeMap<String, u64>,
    /// What was not as it was asked for.
    pub(crate) notes: Vec<String>,
    /// Why it ended early, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped: Option<String>,
    /// How many of 100 calls were sent more than 10 ms late.
    pub(crate) late_percent: f64,
}

/// The calls at one rate and of one size.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Level {
    /// Calls a second.
    pub(crate) rate: f64,
    pub(crate) request_bytes: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    /// How long the calls that were answered ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_ns: Option<Percentiles<u64>>,
    /// The means of what they held, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_cores: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ram_bytes: Option<f64>,
    /// The most calls at once.
    pub(crate) at_once: u64,
}

/// A run is no result when more than this share of its calls was sent late, of 100.
const MOST_LATE: f64 = 1.0;

impl MeasureReport {
    /// Whether all was measured, and the client kept its schedule.
    pub(crate) fn succeeded(&self) -> bool {
        self.stopped.is_none() && self.late_percent <= MOST_LATE
    }

    pub(crate) fn json(&self) -> String {
        json(self)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format::foreign(&self.function);
        if let Some(cold) = &self.cold_start_ns {
            let [p50, max] = [cold.p50, cold.max].map(|ns| format::nanoseconds(ns as f64));
            let _ = write!(text, ", cold start {p50} (at most {max})");
        }
        let _ = write!(
            text,
            "\n{:>10} {:>8} {:>9} {:>7} {:>8} {:>10} {:>10} {:>10} {:>7} {:>10}",
            "body",
            "calls/s",
            "answered",
            "failed",
            "at once",
            "p50",
            "p90",
            "p99",
            "cores",
            "memory"
        );
        for level in &self.levels {
            let unknown = || "-".to_owned();
            let [p50, p90, p99] = match &level.run_ns {
                None => [unknown(), unknown(), unknown()],
                Some(run) => [run.p50, run.p90, run.p99].map(|ns| format::nanoseconds(ns as f64)),
            };
            let cpu = level.cpu_cores.map_or_else(unknown, |cores| format!("{cores:.2}"));
            let ram = level.ram_bytes.map_or_else(unknown, format::bytes);
            let body = format::bytes(level.request_bytes as f64);
            let Level { rate, answered, failed, at_once, .. } = level;
            let _ = write!(
                text,
                "\n{body:>10} {rate:>8.1} {answered:>9} {failed:>7} {at_once:>8} {p50:>10} {p90:>10} {p99:>10} {cpu:>7} {ram:>10}"
            );
        }
        for (code, count) in &self.errors {
            let _ = write!(text, "\n{count} x {code}");
        }
        for note in &self.notes {
            let _ = write!(text, "\nnote: {}", format::foreign(note));
        }
        if self.late_percent > MOST_LATE {
            let late = self.late_percent;
            let _ = write!(
                text,
                "\nINVALID: {late:.1} % of the calls were sent more than 10 ms late: the rates are more than \
                 this client can send"
            );
        }
        if let Some(stopped) = &self.stopped {
            let _ = write!(text, "\nENDED EARLY: {stopped}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_was_measured_and_why_it_ended() {
        let run = Percentiles { p50: 1_000_000, p90: 2_000_000, p99: 3_000_000, p999: 0, max: 0 };
        let level = Level {
            rate: 20.0,
            request_bytes: 1024,
            answered: 7,
            failed: 1,
            run_ns: Some(run),
            cpu_cores: Some(0.5),
            ram_bytes: None,
            at_once: 2,
        };
        let report = MeasureReport {
            function: "f".into(),
            levels: vec![level],
            errors: [("UNAVAILABLE".to_owned(), 1)].into(),
            ..MeasureReport::default()
        };
        assert!(report.succeeded());
        let text = report.text();
        let line = text.lines().nth(2).unwrap();
        let fields: Vec<_> = line.split_whitespace().collect();
        assert_eq!(
            fields,
            ["1.024", "kB", "20.0", "7", "1", "2", "1", "ms", "2", "ms", "3", "ms", "0.50", "-"]
        );
        assert!(text.ends_with("1 x UNAVAILABLE"));
        let stopped = MeasureReport { stopped: Some("a reason".into()), ..report };
        assert!(!stopped.succeeded());
        assert!(stopped.text().ends_with("ENDED EARLY: a reason"));
        assert!(!MeasureReport { late_percent: 1.5, ..MeasureReport::default() }.succeeded());
    }
}
