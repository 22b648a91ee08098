//! Measuring what calls of a function cost: the function runs in processes that are started for it, or
//! runs already; calls are sent in phases of one rate and one size; and the kernel's counters say what the
//! processes used.
//!
//! What came of each call is a [`Row`](crate::record::Row), with the features that a worker would have
//! told a model.

mod caller;
mod cgroup;
mod plan;
mod process;
mod rows;
mod send;
mod session;
mod share;
mod signal;
mod usage;

use hyperfake_predictor::Result;
use tokio_util::sync::CancellationToken;

pub use self::{
    plan::{Limits, Phase, Plan, Processes, Protocol, ReadyBy, Subject, phases},
    rows::{Measured, Measurement},
    send::Progress,
    session::Session,
};
use crate::clock::Clock;

/// Starts what the plan says, sends the calls of all phases, and ends what it started. `stop` ends it
/// early; what was measured until then is the result.
///
/// # Errors
///
/// When no instance can be started, or nothing answers a first call. What fails later ends the session,
/// and is a part of the result.
pub async fn measure(
    plan: Plan,
    phases: &[Phase],
    clock: &Clock,
    stop: &CancellationToken,
    mut progress: impl FnMut(&Progress),
) -> Result<Measured> {
    let mut session = Session::start(plan, clock, stop).await?;
    session.run(phases, &mut progress).await;
    Ok(session.finish().await)
}
