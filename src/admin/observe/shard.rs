use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use hdrhistogram::Histogram;

use super::{
    buckets::Buckets,
    call::{CallSummary, Outcome, Times},
    interval::latencies,
    totals::InstanceTotal,
};
use crate::{
    clock::Moment,
    record::{CallOutcome, CallRecord},
    scenario::Cause,
    worker::{EventKind, Instance, InstanceId},
};

/// What happened on one thread since the reader last looked. The thread alone adds to it, so that calls
/// of several threads do not meet; the reader takes it whole and leaves an empty one.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// The place in `functions` of each function of a worker, by the address of its id: the id is
    /// kept beside it, so that no other one can get that address.
    places: HashMap<(usize, u32), Place, RandomState>,
    /// The place in `functions` of each id.
    by_id: HashMap<Arc<str>, u32, RandomState>,
    pub(super) functions: Vec<FunctionPart>,
    /// By worker, for those that something happened to.
    pub(super) workers: HashMap<u32, WorkerPart, RandomState>,
    pub(super) slowest: Vec<CallSummary>,
    pub(super) failed: Vec<CallSummary>,
    /// Predicted and observed run times of some calls, in nanoseconds, with the place of the function.
    pub(super) pairs: Vec<(u32, u64, u64)>,
    pairs_seen: u64,
    pub(super) faults: HashMap<Arc<str>, u64, RandomState>,
    pub(super) changes: Vec<Change>,
    /// By worker and id, if each instance is added up on its own.
    pub(super) instances: HashMap<(u32, InstanceId), InstanceTotal, RandomState>,
    /// The run times of calls and of what was planned for them, in seconds.
    pub(super) ran: f64,
    pub(super) planned: f64,
}

/// What happened to a function on one worker.
#[derive(Debug)]
pub(super) struct Place {
    _id: Arc<str>,
    pub(super) worker: u32,
    pub(super) function: u32,
    /// By outcome.
    pub(super) calls: [u64; Outcome::COUNT],
}

/// What happened to a function, on all workers.
#[derive(Debug)]
pub(super) struct FunctionPart {
    pub(super) id: Arc<str>,
    pub(super) image: Arc<str>,
    pub(super) calls: [u64; Outcome::COUNT],
    /// Calls that waited for a cold start.
    pub(super) cold: u64,
    /// From arrival to end, of calls that did not wait for a cold start and of those that did.
    pub(super) duration: [Buckets; 2],
    pub(super) queue: Buckets,
    pub(super) run: Buckets,
    pub(super) predicted: Buckets,
    /// Of instances.
    pub(super) cold_start: Buckets,
    /// From arrival to end, in nanoseconds, of those that ran.
    pub(super) latency: Histogram<u32>,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct WorkerPart {
    pub(super) starts: u64,
    /// By [`Stop`].
    pub(super) stops: [u64; Stop::NAMES.len()],
}

/// Why an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Stopped,
    Idle,
    Down,
    Killed,
}

impl Stop {
    pub(crate) const NAMES: [&'static str; 4] = ["stop", "timeout", "down", "killed"];

    fn of(kind: EventKind) -> Option<Self> {
        match kind {
            EventKind::Stop => Some(Self::Stopped),
            EventKind::Timeout => Some(Self::Idle),
            EventKind::Down => Some(Self::Down),
            EventKind::Killed => Some(Self::Killed),
            EventKind::Start | EventKind::Running | EventKind::Call | EventKind::Response => None,
        }
    }
}

/// An instance began or ended.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) worker: u32,
    pub(super) instance: InstanceId,
    pub(super) function: Arc<str>,
    pub(super) created: Moment,
    pub(super) ready: Moment,
    /// When and why it ended, if that is what happened.
    pub(super) ended: Option<(Moment, Stop)>,
}

/// The function for those that get no place of their own.
pub(crate) const OTHER: &str = "other";
/// The most functions with a place of their own, `other` not counted.
pub(crate) const MAX_FUNCTIONS: usize = 1000;
/// The most that is kept between two looks.
const MAX_SLOWEST: usize = 16;
const MAX_FAILED: usize = 32;
const MAX_PAIRS: usize = 32;
const MAX_CHANGES: usize = 256;
const MAX_FAULTS: usize = 128;

impl Shard {
    /// Takes in a call that ended.
    pub(super) fn call_ended(&mut self, record: &CallRecord, worker: u32, times: Times) {
        let outcome = Outcome::of(record);
        let function = self.place_of_call(record, worker, outcome);
        let is_cold = record.cold;
        let part = &mut self.functions[function as usize];
        part.calls[outcome as usize] += 1;
        if let Some(run) = times.run {
            part.cold += u64::from(is_cold);
            part.duration[usize::from(is_cold)].add(times.total);
            // The histogram grows as it needs.
            let _ = part.latency.record(times.total.as_nanos() as u64);
            part.run.add(run);
            if let Some(planned) = times.planned {
                self.ran += run.as_secs_f64();
                self.planned += planned.as_secs_f64();
            }
        }
        if !times.queue.is_zero() {
            part.queue.add(times.queue);
        }
        if let Some(predicted) = times.predicted {
            part.predicted.add(predicted);
        }
        if let (Some(predicted), Some(run), CallOutcome::Succeeded) =
            (times.predicted, times.run, record.outcome)
        {
            self.sample((function, predicted.as_nanos() as u64, run.as_nanos() as u64));
        }
        if let Cause::Fault(fault) = &record.reason
            && (self.faults.len() < MAX_FAULTS || self.faults.contains_key(fault))
        {
            *self.faults.entry(Arc::clone(fault)).or_default() += 1;
        }
        self.keep_notable(record, worker, outcome, times);
    }

    /// Takes in a call of an instance that is added up on its own.
    pub(super) fn add_instance(&mut self, record: &CallRecord, worker: u32, times: Times) {
        if let (Some(id), Some(run), Some(planned)) = (record.instance, times.run, record.planned) {
            let total = self.instances.entry((worker, id)).or_default();
            // A call that was slowed down, or is late, waits and does not compute for longer.
            let computed = run.min(planned.runtime);
            total.cpu_seconds += computed.as_secs_f64() * planned.cpu_cores;
            total.ram_bytes = planned.ram_bytes;
        }
    }

    /// Takes in that an instance changed.
    pub(super) fn instance_changed(
        &mut self,
        kind: EventKind,
        instance: &Instance,
        worker: u32,
        at: Moment,
    ) {
        let stop = Stop::of(kind);
        match (kind, stop) {
            (EventKind::Start, _) => {
                self.place(&instance.function().id, &instance.function().image, worker);
                self.workers.entry(worker).or_default().starts += 1;
            }
            (EventKind::Running, _) => {
                let id = &instance.function().id;
                let function = self.place(id, &instance.function().image, worker);
                let time = instance.ready_at - instance.created;
                self.functions[function as usize].cold_start.add(time);
                return;
            }
            (_, Some(stop)) => {
                self.workers.entry(worker).or_default().stops[stop as usize] += 1;
            }
            _ => return,
        }
        if self.changes.len() < MAX_CHANGES {
            self.changes.push(Change {
                worker,
                instance: instance.id,
                function: Arc::clone(&instance.function().id),
                created: instance.created,
                ready: instance.ready_at,
                ended: stop.map(|stop| (at, stop)),
            });
        }
    }

    /// The functions of workers of which calls ended.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.values().filter(|place| place.calls != [0; Outcome::COUNT])
    }

    /// Forgets what happened, but not the functions that were called: their next calls need no new
    /// memory.
    pub(super) fn clear(&mut self) {
        self.places.retain(|_, place| place.calls != [0; Outcome::COUNT]);
        self.places.values_mut().for_each(|place| place.calls = Default::default());
        self.forget_idle();
        self.functions.iter_mut().for_each(FunctionPart::clear);
        self.workers.clear();
        self.slowest.clear();
        self.failed.clear();
        self.pairs.clear();
        self.pairs_seen = 0;
        self.faults.clear();
        self.changes.clear();
        self.instances.clear();
        (self.ran, self.planned) = (0.0, 0.0);
    }

    /// Forgets the functions that were not called, but not that of the others, which is the first one.
    fn forget_idle(&mut self) {
        let is_idle = |part: &FunctionPart| part.calls == [0; Outcome::COUNT];
        if !self.functions.iter().skip(1).any(is_idle) {
            return;
        }
        let mut count = 0;
        let places = self.functions.iter().enumerate().map(|(place, part)| {
            let is_kept = place == 0 || !is_idle(part);
            is_kept.then(|| {
                count += 1;
                count - 1
            })
        });
        let places: Vec<Option<u32>> = places.collect();
        let mut place = places.iter();
        self.functions.retain(|_| place.next().is_some_and(Option::is_some));
        let moved = |function: &mut u32| {
            let place = places.get(*function as usize).copied().flatten();
            place.inspect(|place| *function = *place).is_some()
        };
        self.by_id.retain(|_, function| moved(function));
        self.places.retain(|_, place| moved(&mut place.function));
    }

    /// The place of a call's function. A call that no instance ran may name what is no function: it
    /// gets no place of its own.
    fn place_of_call(&mut self, record: &CallRecord, worker: u32, outcome: Outcome) -> u32 {
        let key = (address(&record.function), worker);
        if let Some(place) = self.places.get_mut(&key) {
            place.calls[outcome as usize] += 1;
            return place.function;
        }
        let id = match record.instance {
            Some(_) => Arc::clone(&record.function),
            // What is not known may be any text of a client.
            None => {
                let known = self.by_id.get(&record.function).copied();
                let function = known.unwrap_or_else(|| self.function(&OTHER.into(), ""));
                Arc::clone(&self.functions[function as usize].id)
            }
        };
        let function = self.place(&id, &record.image, worker);
        if let Some(place) = self.places.get_mut(&(address(&id), worker)) {
            place.calls[outcome as usize] += 1;
        }
        function
    }

    /// The place of a function that the worker has.
    fn place(&mut self, id: &Arc<str>, image: &str, worker: u32) -> u32 {
        let key = (address(id), worker);
        if let Some(place) = self.places.get(&key) {
            return place.function;
        }
        let function = self.function(id, image);
        let new = Place { _id: Arc::clone(id), worker, function, calls: Default::default() };
        self.places.insert(key, new);
        function
    }

    fn function(&mut self, id: &Arc<str>, image: &str) -> u32 {
        if self.functions.is_empty() {
            let other: Arc<str> = OTHER.into();
            self.by_id.insert(Arc::clone(&other), 0);
            self.functions.push(FunctionPart::new(other, "".into()));
        }
        if let Some(function) = self.by_id.get(id) {
            let part = &mut self.functions[*function as usize];
            if part.image.is_empty() && !image.is_empty() {
                part.image = image.into();
            }
            return *function;
        }
        if self.functions.len() > MAX_FUNCTIONS {
            return 0;
        }
        let function = self.functions.len() as u32;
        self.by_id.insert(Arc::clone(id), function);
        self.functions.push(FunctionPart::new(Arc::clone(id), image.into()));
        function
    }

    /// Keeps each pair with the same probability.
    fn sample(&mut self, pair: (u32, u64, u64)) {
        self.pairs_seen += 1;
        if self.pairs.len() < MAX_PAIRS {
            self.pairs.push(pair);
        } else {
            let place = mixed(self.pairs_seen) % self.pairs_seen;
            if let Some(kept) = self.pairs.get_mut(place as usize) {
                *kept = pair;
            }
        }
    }

    /// Keeps the call if it is one of the slowest or one of the latest that failed.
    fn keep_notable(&mut self, record: &CallRecord, worker: u32, outcome: Outcome, times: Times) {
        let summary = || CallSummary::of(record, worker, outcome, times);
        if !matches!(outcome, Outcome::Ok | Outcome::Cancelled) {
            if self.failed.len() >= MAX_FAILED {
                // Any of them: all are of the same second.
                self.failed.swap_remove(0);
            }
            self.failed.push(summary());
        }
        if times.run.is_none() {
            return;
        }
        if self.slowest.len() < MAX_SLOWEST {
            self.slowest.push(summary());
            if self.slowest.len() == MAX_SLOWEST {
                self.slowest.sort_unstable_by_key(|call| std::cmp::Reverse(call.times.total));
            }
        } else if let Some(last) = self.slowest.last_mut()
            && times.total > last.times.total
        {
            *last = summary();
            self.slowest.sort_unstable_by_key(|call| std::cmp::Reverse(call.times.total));
        }
    }
}

impl FunctionPart {
    fn new(id: Arc<str>, image: Arc<str>) -> Self {
        Self {
            id,
            image,
            calls: Default::default(),
            cold: 0,
            duration: Default::default(),
            queue: Buckets::default(),
            run: Buckets::default(),
            predicted: Buckets::default(),
            cold_start: Buckets::default(),
            latency: latencies(),
        }
    }

    fn clear(&mut self) {
        self.calls = Default::default();
        self.cold = 0;
        self.duration = Default::default();
        self.queue = Buckets::default();
        self.run = Buckets::default();
        self.predicted = Buckets::default();
        self.cold_start = Buckets::default();
        self.latency.reset();
    }
}

fn address(id: &Arc<str>) -> usize {
    Arc::as_ptr(id).cast::<u8>() as usize
}

/// A number that looks random (the finalizer of SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
