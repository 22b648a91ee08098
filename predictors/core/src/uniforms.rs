use crate::Output;

/// Where in its distribution each number of a draw lies: a random number from 0 up to, but without,
/// 1 for each output.
///
/// The numbers of a draw come from the outside, so that a model has no state and the same numbers
/// give the same draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uniforms {
    /// For the run time.
    pub run_time: f64,
    /// For the CPU.
    pub cpu: f64,
    /// For the memory.
    pub ram: f64,
}

impl Uniforms {
    /// The same number for each output: a draw with it is the quantile of each output at this level.
    #[must_use]
    pub const fn same(level: f64) -> Self {
        Self { run_time: level, cpu: level, ram: level }
    }

    /// The number for an output.
    #[must_use]
    pub const fn of(&self, output: Output) -> f64 {
        match output {
            Output::RuntimeNs => self.run_time,
            Output::CpuCores => self.cpu,
            Output::RamBytes => self.ram,
        }
    }
}
