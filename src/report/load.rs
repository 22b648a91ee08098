use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;

use super::{Histogram, Percentiles, format, json};

/// What `hyperfake load` shows.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct LoadReport {
    pub(crate) rate: f64,
    /// From the first intended moment to the end of the last call.
    pub(crate) seconds: f64,
    /// Whether the client kept its schedule.
    pub(crate) valid: bool,
    /// Why the run is not a result, if it is not valid.
    pub(crate) invalid_because: Option<String>,
    /// How much later than intended calls were sent.
    pub(crate) send_lag_ns: Percentiles<u64>,
    pub(crate) functions: Vec<FunctionLoad>,
}

/// The calls of one function.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct FunctionLoad {
    /// What it was registered with, unless it was named by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    /// Its id, if it is called through a leaf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function_id: Option<String>,
    /// How many calls succeeded.
    pub(crate) answered: u64,
    /// From asking for the instance until it could run a call; through a leaf, how much longer than
    /// predicted the first call took, if there was one before the schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cold_start_ns: Option<u64>,
    /// Calls that succeeded, each second of the run.
    pub(crate) calls_per_second: f64,
    /// Calls that ended before their predicted time, which a worker must never do.
    pub(crate) early: u64,
    /// How many calls failed, by code.
    pub(crate) errors: BTreeMap<String, u64>,
    /// From the intended moment to the last byte of the answer.
    pub(crate) latency_ns: Percentiles<u64>,
    /// How the latencies are distributed, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_histogram: Option<Histogram>,
    /// From sending to the last byte, less the predicted run time and the wait for a cold start. Unknown
    /// when answers do not say what was predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timing_error_ns: Option<Percentiles<u64>>,
    /// The part of it that the worker's own clock saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) worker_timing_error_ns: Option<Percentiles<u64>>,
}

impl LoadReport {
    /// Whether the run is valid and every call succeeded.
    pub(crate) fn succeeded(&self) -> bool {
        let succeeded = |function: &FunctionLoad| function.errors.is_empty() && function.early == 0;
        self.valid && self.functions.iter().all(succeeded)
    }

    pub(crate) fn json(&self) -> String {
        json(self)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{:<28} {:>10} {:>10} {:>10} {:>10}\n{}",
            "",
            "p50",
            "p99",
            "p99.9",
            "max",
            line("sent after the schedule", &self.send_lag_ns)
        );
        for function in &self.functions {
            let names = function.image.iter().chain(&function.function_id);
            let names: Vec<_> = names.map(String::as_str).collect();
            let rate = function.calls_per_second;
            let _ = write!(text, "\n{} ({rate:.0} calls each second", names.join(" "));
            if let Some(cold_start) = function.cold_start_ns {
                let cold_start = format::nanoseconds(cold_start as f64);
                let _ = write!(text, ", cold start {cold_start}");
            }
            text.push(')');
            for (name, percentiles) in [
                ("  latency", Some(&function.latency_ns)),
                ("  timing error", function.timing_error_ns.as_ref()),
                ("  of it on the worker", function.worker_timing_error_ns.as_ref()),
            ] {
                let Some(percentiles) = percentiles else { continue };
                let _ = write!(text, "\n{}", line(name, percentiles));
            }
            if let Some(histogram) = &function.latency_histogram {
                let _ = write!(text, "\n{}", histogram.text());
            }
            if function.early > 0 {
                let _ = write!(text, "\n  {} ended EARLY", function.early);
            }
            for (code, count) in &function.errors {
                let _ = write!(text, "\n  {count} x {code}");
            }
        }
        if let Some(reason) = &self.invalid_because {
            let _ = write!(text, "\nINVALID: {reason}");
        }
        text
    }
}

fn line(name: &str, percentiles: &Percentiles<u64>) -> String {
    let Percentiles { p50, p99, p999, max, .. } = percentiles;
    let [p50, p99, p999, max] =
        [p50, p99, p999, max].map(|number| format::nanoseconds(*number as f64));
    format!("{name:<28} {p50:>10} {p99:>10} {p999:>10} {max:>10}")
}
