use std::{str::FromStr, sync::Arc};

use super::{Instance, Worker, gate::Reason, instance::Death};
use crate::clock::{Clock, Moment};

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
        let mut next_look = instance.ready_at;
        let reason = loop {
            match clock.within(next_look, instance.closed()).await {
                Some(reason) => break reason,
                None => match look_at(&worker, &instance, &clock) {
                    Some(moment) => next_look = moment,
                    None => break instance.closed().await,
                },
            }
        };
        worker.directory.delist(&instance);
        if !matches!(reason, Reason::Down | Reason::Crash) {
            // In a box: an instance has this at its end alone.
            let wait = Box::pin(async {
                tokio::select! {
                    () = instance.stopped() => {}
                    () = worker.drain_aborted() => {}
                }
            });
            wait.await;
        }
        worker.tell(&instance, reason, clock.now());
        worker.release(&instance);
        worker.directory.retire(&instance, clock.now(), worker.config.auto_remove);
    }
}

/// Announces an instance that is ready, and ends one that failed to start or was idle for too long.
/// Returns when to look again; nothing if it ends now, or never ends for being idle.
fn look_at(worker: &Arc<Worker>, instance: &Arc<Instance>, clock: &Clock) -> Option<Moment> {
    let now = clock.now();
    if instance.start_fails() {
        worker.kill(instance, Death::StartFailed, now);
        return None;
    }
    worker.announce(instance);
    let idle = worker.idle_timeout(instance)?;
    match instance.lifetime {
        Lifetime::UntilIdle => instance.close_if_idle(now, idle).err(),
        Lifetime::UntilStopped => {
            let idle = instance.is_idle(now, idle);
            if idle.is_ok() {
                worker.leave(instance, Reason::Timeout, clock);
            }
            idle.err()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `F` is, without a value of it.
    fn size_of_future<F>(_: fn(Arc<Worker>, Arc<Instance>, Clock) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn an_idle_instance_and_its_task_stay_small() {
        // tokio makes tasks in steps of 128 bytes, and adds 112 to this one.
        assert!(size_of_future(run_instance) <= 144, "{}", size_of_future(run_instance));
        assert!(size_of::<Instance>() <= 136, "{}", size_of::<Instance>());
    }
}
