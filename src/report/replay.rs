use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;

use super::{Percentiles, format, json};
use crate::trace::{Effect, Notes};

/// What `hyperfake replay` shows.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ReplayReport {
    pub(crate) format: String,
    /// Functions that are replayed.
    pub(crate) functions: usize,
    /// The part of the trace that is replayed.
    pub(crate) from_s: f64,
    pub(crate) length_s: f64,
    pub(crate) rate: f64,
    pub(crate) seed: u64,
    /// What of the trace is not replayed, or in another way than it stands there.
    pub(crate) notes: Notes,
    /// Calls that the trace asks for.
    pub(crate) requested: u64,
    /// The same, by what calls the functions.
    pub(crate) requested_by_trigger: BTreeMap<String, u64>,
    /// The mean run time of these, by the functions' models.
    pub(crate) requested_mean_run_time_ns: f64,
    /// The files of models that were written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) models: Vec<String>,
    /// What came of them; nothing after a dry run.
    pub(crate) replayed: Option<Replayed>,
}

/// What came of the calls.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Replayed {
    /// Calls that were made at their moment: up to a second later.
    pub(crate) issued: u64,
    /// Calls that succeeded.
    pub(crate) answered: u64,
    /// Calls that did not, by code.
    pub(crate) errors: BTreeMap<String, u64>,
    /// The mean run time that was planned for the calls that succeeded, if it is known.
    pub(crate) mean_run_time_ns: Option<f64>,
    /// Calls that waited for the start of an instance, if it is known.
    pub(crate) cold_calls: Option<u64>,
    /// Instances that were started, if it was done here.
    pub(crate) instances: Option<u64>,
    /// How much later than their moments calls were made; nothing in virtual time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) send_lag_ns: Option<Percentiles<u64>>,
    /// From the intended moments to the answers; nothing in virtual time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ns: Option<Percentiles<u64>>,
    /// The most calls at once; in virtual time alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) most_at_once: Option<u64>,
    /// How long it took, by the machine's clock.
    pub(crate) took_s: f64,
    /// Whether the replay was stopped before its end.
    pub(crate) stopped: bool,
    pub(crate) verdict: Verdict,
}

/// Whether the replay is the load that the trace asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    #[default]
    Valid,
    Warning,
    Invalid,
}

/// Beyond these shares of calls that are missing, a replay is a warning, and invalid.
const WARNING: f64 = 0.1;
const INVALID: f64 = 0.2;

impl Verdict {
    /// That of so many calls of which so many should be there.
    pub(crate) fn of(found: u64, expected: u64) -> Self {
        let missing = 1.0 - found as f64 / (expected as f64).max(1.0);
        match missing {
            missing if missing > INVALID => Self::Invalid,
            missing if missing > WARNING => Self::Warning,
            _ => Self::Valid,
        }
    }

    /// The worse of two.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Invalid, _) | (_, Self::Invalid) => Self::Invalid,
            (Self::Warning, _) | (_, Self::Warning) => Self::Warning,
            _ => Self::Valid,
        }
    }
}

impl ReplayReport {
    /// Whether it was the load that the trace asks for; a dry run always succeeds.
    pub(crate) fn succeeded(&self) -> bool {
        self.replayed.as_ref().is_none_or(|replayed| replayed.verdict != Verdict::Invalid)
    }

    pub(crate) fn json(&self) -> String {
        json(self)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "trace       {}: {} with {} calls in {}",
            self.format,
            format::count(self.functions, "function"),
            thousands(self.requested),
            length(self.length_s)
        );
        let mean = format::nanoseconds(self.requested_mean_run_time_ns);
        let _ = write!(text, ", mean run time {mean}");
        if self.requested_by_trigger.len() > 1 {
            let by = self.requested_by_trigger.iter().map(|(trigger, calls)| {
                let name = if trigger.is_empty() { "unknown" } else { trigger };
                format!("{} {}", format::foreign(name), thousands(*calls))
            });
            let _ = write!(text, "\ntriggers    {}", by.collect::<Vec<_>>().join(", "));
        }
        for note in self.notes.iter() {
            let effect = match note.effect {
                Effect::LeftOut => "left out    ",
                Effect::Changed => "changed     ",
            };
            let _ =
                write!(text, "\n{effect}{} {}", thousands(note.count), format::foreign(&note.what));
            if note.calls > 0 {
                let _ = write!(text, " ({} calls)", thousands(note.calls));
            }
            if !note.first.is_empty() {
                let _ = write!(text, "; first: {}", format::foreign(&note.first));
            }
        }
        if let (Some(first), count) = (self.models.first(), self.models.len()) {
            let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
            let _ = write!(text, "\nmodels      {first}{more}");
        }
        if let Some(replayed) = &self.replayed {
            replayed.write(self, &mut text);
        }
        text
    }
}

impl Replayed {
    fn write(&self, report: &ReplayReport, text: &mut String) {
        let share = |part: u64, of: u64| 100.0 * part as f64 / (of as f64).max(1.0);
        let (issued, requested) = (thousands(self.issued), thousands(report.requested));
        let percent = share(self.issued, report.requested);
        let _ = write!(text, "\nissued      {issued} of {requested} calls ({percent:.2} %)");
        let _ = write!(text, "\nanswered    {}", thousands(self.answered));
        if let Some(mean) = self.mean_run_time_ns {
            let _ = write!(text, ", mean run time {}", format::nanoseconds(mean));
        }
        for (code, count) in &self.errors {
            let _ = write!(text, "\nfailed      {} x {code}", thousands(*count));
        }
        if let Some(cold) = self.cold_calls {
            let percent = share(cold, self.answered);
            let _ = write!(text, "\ncold starts {} calls waited ({percent:.3} %)", thousands(cold));
            if let Some(instances) = self.instances {
                let _ = write!(text, ", {} instances", thousands(instances));
            }
        }
        if let Some(most) = self.most_at_once {
            let _ = write!(text, "\nat once     {} calls at most", thousands(most));
        }
        for (name, percentiles) in
            [("sent late  ", &self.send_lag_ns), ("latency    ", &self.latency_ns)]
        {
            let Some(Percentiles { p50, p90, p99, p999, max }) = percentiles else { continue };
            let [p50, p90, p99, p999, max] =
                [p50, p90, p99, p999, max].map(|ns| format::nanoseconds(*ns as f64));
            let _ =
                write!(text, "\n{name} p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}");
        }
        let ended = (self.answered + self.errors.values().sum::<u64>()) as f64;
        let speed = thousands((ended / self.took_s.max(1e-9)) as u64);
        let took = format::nanoseconds(self.took_s * 1e9);
        let _ = write!(text, "\ntook        {took}: {speed} calls each second");
        let verdict = match self.verdict {
            Verdict::Valid => "VALID",
            Verdict::Warning => "WARNING: more than 10 % of the calls are missing or failed",
            Verdict::Invalid => "INVALID: more than 20 % of the calls are missing or failed",
        };
        let stopped = if self.stopped { " (stopped before its end)" } else { "" };
        let _ = write!(text, "\n{verdict}{stopped}");
    }
}

/// Such as `45 s`, `20 min` or `24 h`.
fn length(seconds: f64) -> String {
    let (number, unit) = match seconds {
        ..120.0 => (seconds, "s"),
        ..7200.0 => (seconds / 60.0, "min"),
        _ => (seconds / 3600.0, "h"),
    };
    // Whole numbers without a point.
    match (number * 10.0).round() / 10.0 {
        whole if whole.fract() == 0.0 => format!("{whole:.0} {unit}"),
        part => format!("{part:.1} {unit}"),
    }
}

/// Such as `1,234,567`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_tenth_is_a_warning_and_more_than_a_fifth_is_invalid() {
        for (found, expected) in [
            (100, Verdict::Valid),
            (90, Verdict::Valid),
            (89, Verdict::Warning),
            (80, Verdict::Warning),
            (79, Verdict::Invalid),
            (0, Verdict::Invalid),
        ] {
            assert_eq!(Verdict::of(found, 100), expected, "{found}");
        }
        assert_eq!(Verdict::Valid.and(Verdict::Warning), Verdict::Warning);
        assert_eq!(Verdict::Invalid.and(Verdict::Warning), Verdict::Invalid);
    }

    #[test]
    fn the_length_of_a_replay_is_in_units_of_its_size() {
        let texts = [3.0, 45.04, 1200.0, 5430.0, 86_400.0, 93_600.0].map(length);
        assert_eq!(texts, ["3 s", "45 s", "20 min", "90.5 min", "24 h", "26 h"]);
    }

    #[test]
    fn numbers_have_a_comma_before_each_three_digits() {
        let texts = [0, 999, 1000, 12_345_678].map(thousands);
        assert_eq!(texts, ["0", "999", "1,000", "12,345,678"]);
    }
}
