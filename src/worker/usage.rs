/// What the running calls use at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Calls that are running or waiting for an instance to be ready.
    pub calls: usize,
    /// Instances that have not ended.
    pub instances: usize,
    /// CPU in use, in cores.
    pub cpu_cores: f64,
    /// Memory in use, in bytes.
    pub ram_bytes: u64,
    /// CPU in use as a share of the worker's CPUs, each of which takes an equal part: 0 to 100.
    pub cpu_percent: f64,
    /// Memory in use as a share of the worker's: 0 to 100.
    pub ram_percent: f64,
}
