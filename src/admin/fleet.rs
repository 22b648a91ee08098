use std::{fmt, sync::Arc};

use super::observe::Totals;
use crate::{
    clock::{Clock, Lateness, Moment, precise},
    record::Recorded,
    scenario::{Overrides, Source},
    worker::{InstanceState, Usage, Worker},
};

/// What the page and the metrics are about: the workers of this process.
pub struct Fleet {
    /// The workers.
    pub workers: Vec<Arc<Worker>>,
    /// What each is called.
    pub names: Vec<String>,
    /// The clocks of the threads that run calls.
    pub clocks: Vec<Clock>,
    /// A number that tells this process from others.
    pub run: u64,
    /// Where the scenario is stated that the workers began with; nothing for the plain one.
    pub scenario: Option<Source>,
    /// What counts before a scenario.
    pub overrides: Overrides,
    /// What became of the calls that are recorded, if they are.
    pub recorded: Option<Box<dyn Fn() -> Recorded + Send + Sync>>,
}

/// How many instances there are at one moment.
#[derive(Debug, Default)]
pub(super) struct InstanceCounts {
    /// By worker and [`STATES`].
    pub(super) workers: Vec<[u64; STATES.len()]>,
    /// By the function's place.
    pub(super) functions: Vec<u64>,
    /// Calls that wait for a place in an instance, by worker.
    pub(super) queued: Vec<u64>,
}

/// The states of instances that have not ended.
pub(super) const STATES: [&str; 4] = ["starting", "idle", "busy", "stopping"];

impl Fleet {
    /// What is in use on each worker.
    pub(super) fn usage(&self) -> Vec<Usage> {
        self.workers.iter().map(|worker| worker.usage()).collect()
    }

    /// How late sleeps ended since the start.
    pub(super) fn lateness(&self) -> Lateness {
        Lateness::of(&self.clocks)
    }

    /// The CPUs and the memory in bytes of each worker.
    pub(super) fn capacity(&self) -> (usize, u64) {
        let config = self.workers.first().map(|worker| worker.config());
        config.map_or((0, 0), |config| (config.cpus, config.memory_bytes))
    }

    /// Calls with a feature outside the range that their model was trained on.
    pub(super) fn extrapolated(&self) -> Vec<(&'static str, u64)> {
        let mut counts: Vec<(&'static str, u64)> = Vec::new();
        let models = self.workers.first().map(|worker| worker.catalog().models());
        for (feature, count) in models.into_iter().flatten().flat_map(|model| model.outside()) {
            let name = feature.name();
            match counts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += count,
                None => counts.push((name, count)),
            }
        }
        counts
    }

    /// Looks at every instance.
    pub(super) fn count_instances(&self, totals: &Totals, now: Moment) -> InstanceCounts {
        let mut functions = vec![0; totals.functions.len()];
        let mut queued = Vec::new();
        let count = |worker: &Arc<Worker>| {
            let (mut states, mut waiting) = ([0; STATES.len()], 0);
            worker.each_instance(|instance| {
                let Some(state) = place(instance.state(now)) else { return };
                states[state] += 1;
                waiting += u64::from(instance.queued());
                let function = totals.place(&instance.function().id).unwrap_or(0);
                functions[function as usize] += 1;
            });
            queued.push(waiting);
            states
        };
        let workers = self.workers.iter().map(count).collect();
        InstanceCounts { workers, functions, queued }
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("names", &self.names).finish_non_exhaustive()
    }
}

/// The place of a state in [`STATES`].
fn place(state: InstanceState) -> Option<usize> {
    match state {
        InstanceState::Starting => Some(0),
        InstanceState::Idle => Some(1),
        InstanceState::Busy => Some(2),
        InstanceState::Stopping => Some(3),
        InstanceState::Stopped => None,
    }
}

/// The name of a state.
pub(super) fn name(state: InstanceState) -> &'static str {
    place(state).map_or("stopped", |place| STATES[place])
}

/// A moment as Unix time in seconds.
pub(super) fn unix(clock: &Clock, moment: Moment) -> f64 {
    // Whole milliseconds: what is shown needs no more.
    (clock.since_epoch(moment).as_secs_f64() * 1e3).round() / 1e3
}

/// The clock of the page, which is no call's.
pub(super) fn clock() -> Clock {
    precise::start()
}
