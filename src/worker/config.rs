use std::time::Duration;

use super::{AfterStop, FeatureScope, StartAnswers};
use crate::{
    catalog::{Layers, ResponseBody},
    scenario::ContainerRuntime,
};

/// How a worker behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// The worker's simulated CPUs.
    pub cpus: usize,
    /// The worker's simulated memory, in bytes.
    pub memory_bytes: u64,
    /// The most calls at once, if there is a limit.
    pub max_calls: Option<usize>,
    /// The container runtime whose cold start is imitated.
    pub runtime: ContainerRuntime,
    /// The cold start of every instance, whatever runtime and model say.
    pub cold_start: Option<Duration>,
    /// When a request to start an instance is answered.
    pub start_answers: StartAnswers,
    /// Which event follows STOP.
    pub after_stop: AfterStop,
    /// Instances that are ended by the leaf end after their leaf has been gone for this long.
    pub orphan_timeout: Duration,
    /// How long an instance may be idle, regardless of its function and of how it was started.
    pub idle_timeout: Option<Duration>,
    /// Whether a stopped instance is forgotten at once.
    pub auto_remove: bool,
    /// The answers' bodies, when the model does not say.
    pub response: ResponseBody,
    /// The answers' messages at an instance's own address, when the model does not say.
    pub instance_response: ResponseBody,
    /// What predictions are held to, and the factor for all run times and cold starts.
    pub layers: Layers,
    /// Whose instances and calls the models are told of.
    pub feature_scope: FeatureScope,
    /// Events that a listener's buffer holds.
    pub event_buffer: usize,
    /// How long a listener may be away without missing anything.
    pub listener_timeout: Duration,
}

/// How long an instance may be idle when neither the worker nor its function says.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
