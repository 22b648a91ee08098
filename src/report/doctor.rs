use serde::{Serialize, Serializer};
use serde_json::json;

use super::{Percentiles, format};

/// What `hyperfake doctor` shows.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct DoctorReport {
    /// Cores that this process may use.
    pub(crate) cores: usize,
    pub(crate) vector_instructions: &'static str,
    pub(crate) onnx_runtime: OnnxRuntime,
    /// How many sleeps of the worker's clock ended early, which none may.
    pub(crate) clock_early: usize,
    #[serde(serialize_with = "lateness")]
    pub(crate) clock_lateness: Percentiles<u64>,
    #[serde(serialize_with = "lateness")]
    pub(crate) thread_sleep_lateness: Percentiles<u64>,
    #[serde(serialize_with = "lateness")]
    pub(crate) tokio_sleep_lateness: Percentiles<u64>,
    /// How the sleeps were made, such as `200 sleeps of 1.500 ms`.
    #[serde(skip)]
    pub(crate) sleeps: String,
}

/// ONNX Runtime's library, or the places where it was looked for.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum OnnxRuntime {
    Found {
        library: String,
        version: String,
    },
    Missing {
        /// Each place, and why the library there cannot be loaded.
        tried: Vec<String>,
    },
}

impl DoctorReport {
    pub(crate) fn json(&self) -> String {
        super::json(self)
    }

    pub(crate) fn text(&self) -> String {
        let onnx_runtime = match &self.onnx_runtime {
            OnnxRuntime::Found { library, version } => format!("{version}, {library}"),
            OnnxRuntime::Missing { tried } => {
                format!("none, 'just ort' installs one; tried\n  {}", tried.join("\n  "))
            }
        };
        let early = match self.clock_early {
            0 => String::new(),
            early => format!("; {early} ended EARLY"),
        };
        let lateness = |lateness: &Percentiles<u64>| {
            let [median, p99] =
                [lateness.p50, lateness.p99].map(|ns| format::nanoseconds(ns as f64));
            format!("{median} at the median, {p99} at p99")
        };
        format!(
            "cores                {}\n\
             vector instructions  {}\n\
             ONNX Runtime         {onnx_runtime}\n\
             the worker's clock   {} ended late by {}{early}\n\
             a bare thread        {}\n\
             tokio's timer        {}",
            self.cores,
            self.vector_instructions,
            self.sleeps,
            lateness(&self.clock_lateness),
            lateness(&self.thread_sleep_lateness),
            lateness(&self.tokio_sleep_lateness),
        )
    }
}

fn lateness<S: Serializer>(lateness: &Percentiles<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    let Percentiles { p50, p99, max, .. } = lateness;
    json!({"median_ns": p50, "p99_ns": p99, "max_ns": max}).serialize(serializer)
}
