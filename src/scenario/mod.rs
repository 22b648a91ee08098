//! What functions, instances and calls will do, as pure functions: the same input gives the same plan.
//!
//! A [`Scenario`] says how they behave, a [`Behaviour`] is that of one function on one worker, and [`plan`]
//! and [`Behaviour::start`] decide what a call and a start will do before they begin.

mod behaviour;
mod cause;
mod cold_start;
mod distribution;
mod document;
mod draw;
mod fault;
mod pattern;
mod plan;
mod presets;
mod quota;
mod request;
mod scale;
#[expect(clippy::module_inception, reason = "the type that the module is about")]
mod scenario;
mod settings;
mod source;
mod status_code;
mod summary;

#[expect(unused_imports, reason = "the worker takes them from here")]
pub(crate) use self::behaviour::{ColdStart, Memory, Queue};
use self::pattern::Pattern;
pub use self::{
    behaviour::{Behaviour, StartPlan},
    cause::Cause,
    cold_start::ContainerRuntime,
    distribution::Distribution,
    document::schema,
    draw::{Draws, Purpose, Seed},
    fault::Fault,
    plan::{CallInput, End, InstanceView, Kill, Plan, plan},
    presets::{Preset, SCENARIOS, ScenarioPreset, distributions},
    quota::Quota,
    scale::TimeScale,
    scenario::{Contention, Overrides, Scenario, WorkerBehaviour},
    source::Source,
    status_code::StatusCode,
};

#[cfg(test)]
mod tests;
