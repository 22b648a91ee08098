use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use super::{EventKind, Instance, Worker, instance::End};
use crate::clock::Clock;

/// The container runtime whose start is imitated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Runtime {
    /// A Docker container.
    #[default]
    Docker,
    /// A Firecracker microVM.
    Firecracker,
    /// No cold start.
    Instant,
}

impl Runtime {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Docker, Self::Firecracker, Self::Instant];

    /// How long an instance takes from its start until it can run a call, when neither the
    /// worker nor the model says otherwise.
    ///
    /// - Docker: 541 ms to create a container (Docker 18.09, overlay2) on an otherwise idle
    ///   machine, from Cadden et al., "SEUSS: Skip Redundant Paths to Make Serverless Fast",
    ///   EuroSys 2020, table 3.
    /// - Firecracker: 125 ms, the paper's bound for the boot of a microVM up to the application's
    ///   code, from Agache et al., "Firecracker: Lightweight Virtualization for Serverless
    ///   Applications", NSDI 2020, section 1.
    #[must_use]
    pub fn cold_start(self) -> Duration {
        match self {
            Self::Docker => Duration::from_millis(541),
            Self::Firecracker => Duration::from_millis(125),
            Self::Instant => Duration::ZERO,
        }
    }

    /// The name used on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Firecracker => "firecracker",
            Self::Instant => "instant",
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Runtime {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|runtime| runtime.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("no runtime is called '{name}'; there are {known}")
        })
    }
}

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

/// How long a stopped instance is still listed, without `--auto-remove`.
pub const STOPPED_INSTANCES_STAY: Duration = Duration::from_secs(300);

/// One instance's life from its start to its end. Nobody has to wait for it, but the worker does
/// when it shuts down: whoever ends an instance, its last event is sent here and only here.
#[expect(
    clippy::manual_async_fn,
    reason = "each instance has this future, and an async function's holds the arguments twice"
)]
pub(super) fn live(
    worker: Arc<Worker>,
    instance: Arc<Instance>,
    clock: Clock,
) -> impl Future<Output = ()> + Send {
    async move {
        let end = tokio::select! {
            end = instance.closed() => end,
            () = start_and_grow_idle(&worker, &instance, &clock) => instance.closed().await,
        };
        instance.function.remove(&instance);
        if end != End::Down {
            tokio::select! {
                () = instance.stopped() => {}
                () = worker.cut_off() => {}
            }
        }
        let kind = match end {
            End::Stop => EventKind::Stop,
            End::Timeout => EventKind::Timeout,
            End::Down => EventKind::Down,
        };
        worker.events.emit(kind, false, &instance, || clock.now());
        worker.lay_out(&instance, clock.now());
    }
}

/// Ends when the instance has been idle for too long, or is closed.
async fn start_and_grow_idle(worker: &Worker, instance: &Arc<Instance>, clock: &Clock) {
    clock.sleep_until(instance.ready_at).await;
    worker.announce(instance);
    let idle = worker.idle_timeout(&instance.function);
    while let Err(next_look) = instance.close_if_idle(clock.now(), idle) {
        clock.sleep_until(next_look).await;
    }
}
