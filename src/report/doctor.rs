use serde::Serialize;

use super::{format, json};

/// What `hyperfake doctor` shows.
#[derive(Debug, Clone, Serialize)]
pub struct DoctorReport {
    /// Cores that this process may use.
    pub cores: usize,
    /// The vector instructions of the dense kernel.
    pub vector_instructions: &'static str,
    /// ONNX Runtime.
    pub onnx_runtime: OnnxRuntime,
    /// How many sleeps of the worker's clock ended early, which none may.
    pub clock_early: usize,
    /// How late the worker's own sleeps ended.
    pub clock_lateness: SleepLateness,
    /// How late the sleeps of a bare thread ended.
    pub thread_sleep_lateness: SleepLateness,
    /// How late the sleeps of tokio's timer ended.
    pub tokio_sleep_lateness: SleepLateness,
    /// How the sleeps were made, such as `200 sleeps of 1.500 ms`.
    #[serde(skip)]
    pub sleeps: String,
}

/// ONNX Runtime's library, or the places where it was looked for.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum OnnxRuntime {
    /// It can be loaded.
    Found {
        /// The path of the library.
        library: String,
        /// Its version.
        version: String,
    },
    /// It cannot.
    Missing {
        /// Each place, and why the library there cannot be loaded.
        tried: Vec<String>,
    },
}

/// How late sleeps ended.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SleepLateness {
    /// At the median.
    pub median_ns: u64,
    /// 99 % were not later.
    pub p99_ns: u64,
    /// The latest.
    pub max_ns: u64,
}

impl DoctorReport {
    /// For a program.
    #[must_use]
    pub fn json(&self) -> String {
        json(self)
    }

    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
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
        let lateness = |lateness: &SleepLateness| {
            let [median, p99] =
                [lateness.median_ns, lateness.p99_ns].map(|ns| format::nanoseconds(ns as f64));
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
