use std::collections::HashMap;

use foldhash::fast::RandomState;
use hdrhistogram::Histogram;

use super::{
    call::Outcome,
    shard::{FunctionPart, Shard},
    totals::add,
};

/// What happened since the last snapshot.
#[derive(Debug)]
pub(crate) struct Interval {
    pub(crate) calls: [u64; Outcome::COUNT],
    pub(crate) cold: u64,
    /// From arrival to end, in nanoseconds.
    pub(crate) latency: Histogram<u32>,
    pub(crate) starts: u64,
    pub(crate) stops: u64,
    pub(crate) faults: u64,
    /// Run times and what was planned for them, in seconds.
    pub(crate) ran: f64,
    pub(crate) planned: f64,
    /// Those of which calls ended, by place.
    pub(crate) functions: HashMap<u32, FunctionInterval, RandomState>,
    /// The calls that ended and those of them that failed, by worker.
    pub(crate) workers: Vec<(u64, u64)>,
    /// The function's place, and the predicted and the observed run time in nanoseconds.
    pub(crate) pairs: Vec<(u32, u64, u64)>,
}

/// What happened to a function since the last snapshot.
#[derive(Debug)]
pub(crate) struct FunctionInterval {
    pub(crate) calls: [u64; Outcome::COUNT],
    pub(crate) cold: u64,
    pub(crate) latency: Histogram<u32>,
    pub(crate) ran: f64,
    pub(crate) predicted: f64,
    pub(crate) predictions: u64,
}

/// The most pairs that are told in one snapshot.
const MAX_PAIRS: usize = 64;

impl Interval {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            calls: Default::default(),
            cold: 0,
            latency: latencies(),
            starts: 0,
            stops: 0,
            faults: 0,
            ran: 0.0,
            planned: 0.0,
            functions: HashMap::default(),
            workers: vec![(0, 0); workers],
            pairs: Vec::new(),
        }
    }

    /// Takes in what happened on a thread; `places` are those of its functions in the totals.
    pub(super) fn merge(&mut self, shard: &Shard, places: &[u32]) {
        for (part, place) in shard.functions.iter().zip(places) {
            if part.calls == [0; Outcome::COUNT] {
                continue;
            }
            add(&mut self.calls, &part.calls);
            self.cold += part.cold;
            // Both grow as they need.
            let _ = self.latency.add(&part.latency);
            self.functions.entry(*place).or_insert_with(FunctionInterval::new).merge(part);
        }
        for place in shard.places() {
            if let Some((ended, failed)) = self.workers.get_mut(place.worker as usize) {
                let calls: u64 = place.calls.iter().sum();
                *ended += calls;
                *failed += calls - place.calls[Outcome::Ok as usize];
            }
        }
        for part in shard.workers.values() {
            self.starts += part.starts;
            self.stops += part.stops.iter().sum::<u64>();
        }
        self.faults += shard.faults.values().sum::<u64>();
        self.ran += shard.ran;
        self.planned += shard.planned;
        let pairs = shard.pairs.iter().take(MAX_PAIRS.saturating_sub(self.pairs.len()));
        self.pairs.extend(pairs.map(|(function, predicted, observed)| {
            (places[*function as usize], *predicted, *observed)
        }));
    }

    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.workers.len());
    }
}

impl FunctionInterval {
    fn new() -> Self {
        let (calls, latency) = (Default::default(), latencies());
        Self { calls, cold: 0, latency, ran: 0.0, predicted: 0.0, predictions: 0 }
    }

    fn merge(&mut self, part: &FunctionPart) {
        add(&mut self.calls, &part.calls);
        self.cold += part.cold;
        let _ = self.latency.add(&part.latency);
        self.ran += part.run.sum();
        self.predicted += part.predicted.sum();
        self.predictions += part.predicted.count();
    }
}

/// A histogram of nanoseconds with two figures, that tells times above 16 us apart.
pub(super) fn latencies() -> Histogram<u32> {
    let made = Histogram::new_with_bounds(1 << 14, 1 << 30, 2);
    let mut histogram = made.unwrap_or_else(|_| unreachable!("constants within their bounds"));
    histogram.auto(true);
    histogram
}
