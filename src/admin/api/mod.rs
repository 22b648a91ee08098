//! What is asked for as JSON: `/api/v1`.

mod calls;
mod functions;
mod instances;
mod scenario;
mod state;

pub(super) use self::{
    calls::calls,
    functions::functions,
    instances::{Asked, instances},
    scenario::{faults, scenario},
    state::state,
};
