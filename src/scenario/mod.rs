//! What functions and calls will do, as pure functions: the same input gives the same plan.

mod cold_start;
mod draw;
mod plan;
mod scale;

pub use self::{
    cold_start::ContainerRuntime,
    draw::{Draws, Purpose, Seed},
    plan::{Plan, plan},
    scale::TimeScale,
};
