use std::time::Duration;

use strum::{Display, EnumString, IntoStaticStr};

/// What a model says, as numbers in the units of [`Prediction`], not yet checked: a model can
/// answer NaN, a negative time or a thousand years.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RawPrediction {
    /// Run time, in nanoseconds.
    pub runtime_ns: f64,
    /// CPU held while it runs, in cores.
    pub cpu_cores: f64,
    /// Memory held while it runs, in bytes.
    pub ram_bytes: f64,
}

impl RawPrediction {
    /// From the three numbers in the order of [`Output::ALL`], which is a model's column order.
    #[must_use]
    pub fn from_array([runtime_ns, cpu_cores, ram_bytes]: [f64; 3]) -> Self {
        Self { runtime_ns, cpu_cores, ram_bytes }
    }

    /// The opposite of [`RawPrediction::from_array`].
    #[must_use]
    pub fn to_array(&self) -> [f64; 3] {
        [self.runtime_ns, self.cpu_cores, self.ram_bytes]
    }
}

/// How a call will behave: finite, not negative, and within the worker's limits.
///
/// Made by [`Limits::check`](crate::Limits::check) alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// How long the function runs.
    pub runtime: Duration,
    /// CPU held while it runs, in cores.
    pub cpu_cores: f64,
    /// Memory held while it runs, in bytes.
    pub ram_bytes: u64,
}

/// The name of one output column.
///
/// It is parsed from [`Output::name`], or from the column of HyperFaaS's training data
/// (`function_processing_time_ns`, `function_cpu_usage`, `function_ram_usage`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, IntoStaticStr)]
pub enum Output {
    /// See [`RawPrediction::runtime_ns`].
    #[strum(to_string = "runtime_ns", serialize = "function_processing_time_ns")]
    RuntimeNs,
    /// See [`RawPrediction::cpu_cores`].
    #[strum(to_string = "cpu_cores", serialize = "function_cpu_usage")]
    CpuCores,
    /// See [`RawPrediction::ram_bytes`].
    #[strum(to_string = "ram_bytes", serialize = "function_ram_usage")]
    RamBytes,
}

impl Output {
    /// All outputs, in the order in which a model gives them.
    pub const ALL: [Self; 3] = [Self::RuntimeNs, Self::CpuCores, Self::RamBytes];

    /// The output of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// The name used in files and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}
