use std::{str::FromStr, sync::Arc};

use super::{Instance, Worker, gate::Reason, instance::Death};
use crate::clock::Clock;

/// When a request to start an instance is answered.
///
/// It matters to a leaf, which has ten starts of a function under way at most and refuses the calls
/// that would need more: of a burst of 200 calls to a function without instances, its ten starts
/// let it answer 10 when each takes as long as a container's, and nearly all when they take no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartAnswers {
    /// When its cold start is over, as HyperFaaS's worker does, which waits for the function's
    /// signal that it is ready (`SignalReady`, since commit b1854f9 of 3s-rg-codes/HyperFaaS). As
    /// there, the instance goes on when the client no longer waits for the answer.
    #[default]
    Ready,
    /// At once; a call waits for what is left of the cold start. So does the Python prototype.
    Created,
}

impl FromStr for StartAnswers {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "ready" => Ok(Self::Ready),
            "created" => Ok(Self::Created),
            _ => Err("expected ready or created".into()),
        }
    }
}

/// What ends an instance, other than the worker's own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// A request, or the lack of calls.
    UntilIdle,
    /// A request. It has an address of its own, of whose calls only the worker and the client know,
    /// so that it takes calls for a moment longer whatever ends it.
    UntilStopped,
}

/// Runs an instance from its start to its end. No client has to wait for it, but the worker does
/// when it shuts down: whatever ends an instance, its last event is sent here and only here.
#[expect(
    clippy::manual_async_fn,
    reason = "each instance has this future, and an async function's holds the arguments twice"
)]
pub(super) fn run_instance(
    worker: Arc<Worker>,
    instance: Arc<Instance>,
    clock: Clock,
) -> impl Future<Output = ()> + Send {
    async move {
        let reason = tokio::select! {
            reason = instance.closed() => reason,
            () = run_until_idle(&worker, &instance, &clock) => instance.closed().await,
        };
        worker.directory.delist(&instance);
        if !matches!(reason, Reason::Down | Reason::Crash) {
            tokio::select! {
                () = instance.stopped() => {}
                () = worker.drain_aborted() => {}
            }
        }
        worker.tell(&instance, reason, clock.now());
        worker.release(&instance);
        worker.directory.retire(&instance, clock.now(), worker.config.auto_remove);
    }
}

/// Ends when the instance has been idle for too long, or is closed.
async fn run_until_idle(worker: &Arc<Worker>, instance: &Arc<Instance>, clock: &Clock) {
    clock.sleep_until(instance.ready_at).await;
    if instance.start_fails() {
        return worker.kill(instance, Death::StartFailed, clock.now());
    }
    worker.announce(instance);
    let Some(idle) = worker.idle_timeout(instance) else { return };
    match instance.lifetime {
        Lifetime::UntilIdle => {
            while let Err(next_look) = instance.close_if_idle(clock.now(), idle) {
                clock.sleep_until(next_look).await;
            }
        }
        Lifetime::UntilStopped => {
            while let Err(next_look) = instance.is_idle(clock.now(), idle) {
                clock.sleep_until(next_look).await;
            }
            worker.leave(instance, Reason::Timeout, clock);
        }
    }
}
