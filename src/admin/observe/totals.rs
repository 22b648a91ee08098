use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use foldhash::fast::RandomState;

use super::{
    buckets::Buckets,
    call::Outcome,
    shard::{FunctionPart, MAX_FUNCTIONS, OTHER, Shard, Stop},
};
use crate::{
    clock::Moment,
    worker::{InstanceId, Worker},
};

/// What happened since the start.
#[derive(Debug)]
pub(crate) struct Totals {
    /// By place; the first one is [`OTHER`].
    pub(crate) functions: Vec<FunctionTotal>,
    by_id: HashMap<Arc<str>, u32, RandomState>,
    /// Changes with the functions.
    pub(crate) version: u64,
    /// Calls by function, worker and outcome.
    pub(crate) calls: BTreeMap<(u32, u32), [u64; Outcome::COUNT]>,
    /// By worker.
    pub(crate) workers: Vec<WorkerTotal>,
    /// Calls that each fault was done to.
    pub(crate) faults: BTreeMap<Arc<str>, u64>,
    /// By worker and id, if each instance is added up on its own.
    pub(crate) instances: HashMap<(u32, InstanceId), InstanceTotal, RandomState>,
}

/// What happened to a function, on all workers.
#[derive(Debug)]
pub(crate) struct FunctionTotal {
    pub(crate) id: Arc<str>,
    pub(crate) image: Arc<str>,
    pub(crate) calls: [u64; Outcome::COUNT],
    /// From arrival to end, of calls that did not wait for a cold start and of those that did.
    pub(crate) duration: [Buckets; 2],
    pub(crate) queue: Buckets,
    pub(crate) run: Buckets,
    pub(crate) predicted: Buckets,
    pub(crate) cold_start: Buckets,
    /// When something happened to it last.
    used: Moment,
}

/// What the calls of an instance took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct InstanceTotal {
    pub(crate) cpu_seconds: f64,
    /// Of the latest call.
    pub(crate) ram_bytes: u64,
}

/// What happened to the instances of a worker.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WorkerTotal {
    pub(crate) starts: u64,
    /// By [`Stop`].
    pub(crate) stops: [u64; Stop::NAMES.len()],
}

/// The most numbers of calls by function and worker; those of further functions are added to those of
/// [`OTHER`].
const MAX_SERIES: usize = 20_000;
const MAX_FAULTS: usize = 256;
/// A function to which nothing happened for so long may lose its place to another one.
const UNUSED: Duration = Duration::from_secs(600);

impl Totals {
    /// Of so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        let mut totals = Self {
            functions: Vec::new(),
            by_id: HashMap::default(),
            version: 0,
            calls: BTreeMap::new(),
            workers: vec![WorkerTotal::default(); workers],
            faults: BTreeMap::new(),
            instances: HashMap::default(),
        };
        totals.add_function(OTHER.into(), Moment::default());
        totals
    }

    /// The place of a function, if it has one.
    pub(crate) fn place(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// Takes in what happened on a thread, and returns the place here of each function there.
    pub(super) fn merge(&mut self, shard: &Shard, now: Moment) -> Vec<u32> {
        let places: Vec<_> =
            shard.functions.iter().map(|part| self.merge_function(part, now)).collect();
        for place in shard.places() {
            let function = places[place.function as usize];
            let mut key = (function, place.worker);
            if self.calls.len() >= MAX_SERIES && !self.calls.contains_key(&key) {
                key = (0, place.worker);
            }
            add(self.calls.entry(key).or_default(), &place.calls);
        }
        for (worker, part) in &shard.workers {
            if let Some(total) = self.workers.get_mut(*worker as usize) {
                total.starts += part.starts;
                add(&mut total.stops, &part.stops);
            }
        }
        for (key, more) in &shard.instances {
            let total = self.instances.entry(*key).or_default();
            total.cpu_seconds += more.cpu_seconds;
            total.ram_bytes = more.ram_bytes;
        }
        for (fault, count) in &shard.faults {
            if self.faults.len() < MAX_FAULTS || self.faults.contains_key(fault) {
                *self.faults.entry(Arc::clone(fault)).or_default() += count;
            }
        }
        places
    }

    /// Forgets the instances that no worker lists any longer.
    pub(crate) fn forget_instances(&mut self, workers: &[Arc<Worker>]) {
        self.instances.retain(|(worker, id), _| {
            workers.get(*worker as usize).is_some_and(|worker| worker.instance(*id).is_some())
        });
    }

    fn merge_function(&mut self, part: &FunctionPart, now: Moment) -> u32 {
        let place = match self.by_id.get(&part.id) {
            Some(place) => *place,
            None => self.add_function(Arc::clone(&part.id), now),
        };
        let total = &mut self.functions[place as usize];
        if place != 0 && total.image.is_empty() && !part.image.is_empty() {
            total.image = Arc::clone(&part.image);
            self.version += 1;
        }
        total.used = now;
        add(&mut total.calls, &part.calls);
        total.duration[0].merge(&part.duration[0]);
        total.duration[1].merge(&part.duration[1]);
        total.queue.merge(&part.queue);
        total.run.merge(&part.run);
        total.predicted.merge(&part.predicted);
        total.cold_start.merge(&part.cold_start);
        place
    }

    /// Adds a function, in the place of one that was not used for long if there is no other. The place
    /// of [`OTHER`] if there is none at all.
    fn add_function(&mut self, id: Arc<str>, now: Moment) -> u32 {
        let new = FunctionTotal {
            id: Arc::clone(&id),
            image: "".into(),
            calls: Default::default(),
            duration: Default::default(),
            queue: Buckets::default(),
            run: Buckets::default(),
            predicted: Buckets::default(),
            cold_start: Buckets::default(),
            used: now,
        };
        let place = if self.functions.len() <= MAX_FUNCTIONS {
            self.functions.push(new);
            self.functions.len() as u32 - 1
        } else {
            let others = self.functions.iter().enumerate().skip(1);
            let Some((place, oldest)) = others.min_by_key(|(_, function)| function.used) else {
                return 0;
            };
            if now - oldest.used < UNUSED {
                return 0;
            }
            let place = place as u32;
            self.by_id.remove(&oldest.id);
            self.calls.retain(|(function, _), _| *function != place);
            self.functions[place as usize] = new;
            place
        };
        self.by_id.insert(id, place);
        self.version += 1;
        place
    }
}

pub(super) fn add<const N: usize>(counts: &mut [u64; N], more: &[u64; N]) {
    counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
}
