//! What happens on the workers, added up for metrics and for the page.
//!
//! Each thread adds to a [`Shard`] of its own, so that calls of several threads do not meet. A reader
//! takes the shards whole and adds them to what came before: it holds the lock of a shard for an
//! exchange of two pointers' worth of memory, whatever the shard has in it.

mod buckets;
mod call;
mod interval;
mod notable;
mod shard;
mod strip;
mod totals;

use std::{
    cell::Cell,
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

pub(super) use self::{
    buckets::Buckets,
    call::{CallSummary, Outcome},
    interval::{FunctionInterval, Interval},
    notable::Notable,
    shard::Stop,
    strip::Strip,
    totals::{FunctionTotal, InstanceTotal, Totals},
};
use self::{call::Times, shard::Shard};
use crate::{
    clock::Moment,
    record::{CallRecord, Sink},
    scenario::TimeScale,
    worker::{EventKind, Instance, Observer},
};

/// Where the threads of all workers add what happens.
#[derive(Debug)]
pub struct Observatory {
    /// A power of two of them, so that each thread has one of its own.
    shards: Box<[OwnLine]>,
    time_scale: TimeScale,
    /// Whether each instance is added up on its own as well.
    by_instance: bool,
}

/// A shard in cache lines of its own: what one thread writes does not slow down another one.
#[derive(Debug, Default)]
#[repr(align(128))]
struct OwnLine(Mutex<Shard>);

/// What a worker tells of its calls and instances.
#[derive(Debug)]
pub struct Watcher {
    observatory: Arc<Observatory>,
    worker: u32,
}

/// What was taken from the shards.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) totals: Totals,
    pub(super) interval: Interval,
    pub(super) notable: Notable,
    pub(super) strip: Strip,
    /// An empty shard, to be exchanged for one that is not.
    spare: Shard,
}

/// Threads that are no call threads but end instances, such as the main one.
const OTHER_THREADS: usize = 2;

impl Observatory {
    /// For this many threads that run calls, and workers with this factor for all times. Each instance
    /// is added up on its own as well if that is asked for.
    #[must_use]
    pub fn new(threads: usize, time_scale: TimeScale, by_instance: bool) -> Arc<Self> {
        let count = (threads + OTHER_THREADS).next_power_of_two();
        let shards = (0..count).map(|_| OwnLine::default()).collect();
        Arc::new(Self { shards, time_scale, by_instance })
    }

    /// What the worker of this number is to tell.
    #[must_use]
    pub fn watcher(self: &Arc<Self>, worker: usize) -> Arc<Watcher> {
        let worker = u32::try_from(worker).unwrap_or(u32::MAX);
        Arc::new(Watcher { observatory: Arc::clone(self), worker })
    }

    /// Moves what happened since the last time to what was observed before.
    pub(super) fn drain(&self, observed: &mut Observed, now: Moment) {
        let Observed { totals, interval, notable, strip, spare } = observed;
        for OwnLine(shard) in &self.shards {
            // The lock is held for this exchange alone.
            mem::swap(&mut *shard.lock(), spare);
            let places = totals.merge(spare, now);
            interval.merge(spare, &places);
            notable.add(&spare.slowest, &spare.failed, now);
            strip.add(&spare.changes);
            spare.clear();
        }
    }

    /// The shard of this thread. Two threads may have the same one when there are more of them than
    /// shards: then they wait for each other, and nothing is lost.
    fn shard(&self) -> &Mutex<Shard> {
        thread_local! {
            static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
        }
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.get().unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            NUMBER.set(Some(number));
            number
        });
        &self.shards[number & (self.shards.len() - 1)].0
    }
}

impl Observed {
    /// Nothing, of so many workers.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            totals: Totals::new(workers),
            interval: Interval::new(workers),
            notable: Notable::default(),
            strip: Strip::default(),
            spare: Shard::default(),
        }
    }
}

impl Sink for Watcher {
    fn call_ended(&self, record: &CallRecord) {
        let Observatory { time_scale, by_instance, .. } = *self.observatory;
        let times = Times::of(record, time_scale);
        let mut shard = self.observatory.shard().lock();
        shard.call_ended(record, self.worker, times);
        if by_instance {
            shard.add_instance(record, self.worker, times);
        }
    }
}

impl Observer for Watcher {
    /// Calls are told when they end.
    fn watches(&self, kind: EventKind) -> bool {
        !matches!(kind, EventKind::Call | EventKind::Response)
    }

    fn instance_changed(&self, kind: EventKind, instance: &Instance, at: Moment) {
        self.observatory.shard().lock().instance_changed(kind, instance, self.worker, at);
    }
}

#[cfg(test)]
mod tests;
