use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use super::{EventKind, Instance, Worker};
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

/// How long a stopped instance is still listed, without `--auto-remove`.
pub const STOPPED_INSTANCES_STAY: Duration = Duration::from_secs(300);

/// One instance's life from its start to its end. Nobody has to wait for it.
pub(super) async fn live(worker: Arc<Worker>, instance: Arc<Instance>, clock: Clock) {
    let end = tokio::select! {
        end = start_and_grow_idle(&worker, &instance, &clock) => end,
        () = instance.closed() => instance.ended_by(),
    };
    instance.function.remove(&instance);
    instance.stopped().await;
    match end.or_else(|| instance.ended_by()) {
        // The worker itself says so, all at once.
        Some(EventKind::Down) => {}
        end => worker.emit(end.unwrap_or(EventKind::Timeout), &instance, &clock),
    }
    if !worker.config.auto_remove {
        clock.sleep_until(clock.now() + STOPPED_INSTANCES_STAY).await;
    }
    worker.forget(&instance);
}

/// Ends when the instance is closed; with TIMEOUT when it was closed here.
async fn start_and_grow_idle(
    worker: &Worker,
    instance: &Arc<Instance>,
    clock: &Clock,
) -> Option<EventKind> {
    clock.sleep_until(instance.ready_at).await;
    worker.announce(instance);
    let idle = worker.idle_timeout(&instance.function);
    loop {
        match instance.close_if_idle(clock.now(), idle) {
            Ok(true) => return Some(EventKind::Timeout),
            Ok(false) => return None,
            Err(next_look) => clock.sleep_until(next_look).await,
        }
    }
}
