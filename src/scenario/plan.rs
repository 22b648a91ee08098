use std::time::Duration;

use hyperfake_predictor::{Features, Prediction};

use super::Draws;
use crate::functions::FunctionSpec;

/// What a call will do, decided before it begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// How long it runs.
    pub run_time: Duration,
    /// The CPU that it holds meanwhile, in cores.
    pub cpu_cores: f64,
    /// The memory that it holds meanwhile, in bytes.
    pub ram_bytes: u64,
}

/// Plans a call of a function for which a model was told `features` and answered `prediction`;
/// `draws` are the function's random numbers, and `number` is the call's number.
///
/// Without a scenario a call does what is predicted.
#[must_use]
pub fn plan(
    _function: &FunctionSpec,
    _features: &Features,
    prediction: &Prediction,
    _draws: Draws,
    _number: u64,
) -> Plan {
    Plan {
        run_time: prediction.runtime,
        cpu_cores: prediction.cpu_cores,
        ram_bytes: prediction.ram_bytes,
    }
}
