use std::{ops::Range, sync::Arc};

use hyperfake_predictor::Random;

use super::{Calls, Workload};

/// A call that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// When, in nanoseconds since the beginning of the replay.
    pub at_ns: u64,
    /// Which function is called: its place in [`Workload::functions`].
    pub function: u32,
}

/// The calls of a workload, in the order of their moments.
///
/// Where a trace counts the calls of a stretch of time, as many are made in it, at moments drawn from a
/// uniform distribution. That is a Poisson process given its counts, and no function begins its stretch with
/// a call. The moments of a function in a stretch depend on the seed, its name and the stretch alone.
///
/// With a rate other than 1, the calls of a function are counted through: after `n` calls of the trace,
/// `rate n` were made, rounded down from a random part of one call on.
#[derive(Debug)]
pub struct Arrivals {
    work: Arc<Workload>,
    /// The next stretch, or the next call of the trace.
    next: usize,
    /// The calls of a stretch: moments and functions, ascending. Kept because it is as large again for the
    /// next one, so that a call costs no memory.
    ready: Vec<u64>,
    taken: usize,
    /// When that stretch began.
    begin_ns: u64,
    /// How many calls of each function were made, with the part of the next one; only with a rate.
    carried: Vec<f64>,
}

/// A call in a stretch: its moment, counted from the stretch's beginning, above its function.
const FUNCTION_BITS: u32 = 28;
/// The longest stretch whose moments have room above.
pub(super) const LONGEST_BIN_NS: u64 = 1 << (64 - FUNCTION_BITS);
/// The most functions that have room below.
pub(super) const MOST_FUNCTIONS: usize = 1 << FUNCTION_BITS;
/// Calls that the trace has one by one are taken from it by the minute.
const CHUNK_NS: u64 = 60_000_000_000;

impl Arrivals {
    pub(super) fn new(work: Arc<Workload>) -> Self {
        let carried = match work.rate {
            1.0 => Vec::new(),
            _ => {
                let part = |key: u64| Random::new(work.seed ^ key, 1).fraction();
                work.functions.iter().map(|function| part(function.key)).collect()
            }
        };
        let next = match &work.calls {
            Calls::Counted { bin_ns, .. } => (work.from_ns / bin_ns) as usize,
            Calls::Single(calls) => calls.partition_point(|(at, _)| *at < work.from_ns),
        };
        Self { work, next, ready: Vec::new(), taken: 0, begin_ns: 0, carried }
    }

    /// Makes the calls of the next stretch ready; says whether there is one.
    fn fill(&mut self) -> bool {
        self.ready.clear();
        self.taken = 0;
        let work = Arc::clone(&self.work);
        match &work.calls {
            Calls::Counted { bin_ns, bins } => {
                self.begin_ns = self.next as u64 * bin_ns;
                if self.begin_ns >= work.until_ns {
                    return false;
                }
                let Some(counts) = bins.get(self.next) else { return false };
                for (function, count) in counts {
                    let calls = self.times(*function, *count);
                    self.draw(*function, calls, 0..*bin_ns, self.next as u64);
                }
                self.next += 1;
            }
            Calls::Single(calls) => {
                let Some((at, _)) = calls.get(self.next) else { return false };
                if *at >= work.until_ns {
                    return false;
                }
                self.begin_ns = at - at % CHUNK_NS;
                let chunk = at / CHUNK_NS;
                let begin = work.from_ns.saturating_sub(self.begin_ns);
                let end = CHUNK_NS.min(work.until_ns - self.begin_ns);
                while let Some((at, function)) = calls.get(self.next)
                    && at / CHUNK_NS == chunk
                    && *at < work.until_ns
                {
                    let times = self.times(*function, 1);
                    if times > 0 {
                        self.ready.push(packed(at - self.begin_ns, *function));
                    }
                    // Of one call several ones: the others are somewhere in the same minute.
                    self.draw(*function, times.saturating_sub(1), begin..end, self.next as u64);
                    self.next += 1;
                }
            }
        }
        self.ready.sort_unstable();
        true
    }

    /// How many calls are made of these.
    fn times(&mut self, function: u32, count: u32) -> u64 {
        match self.carried.get_mut(function as usize) {
            None => u64::from(count),
            Some(carried) => {
                *carried += self.work.rate * f64::from(count);
                let times = carried.floor();
                *carried -= times;
                times as u64
            }
        }
    }

    /// Draws the moments of so many calls, within a part of the stretch.
    fn draw(&mut self, function: u32, calls: u64, within: Range<u64>, stretch: u64) {
        if calls == 0 {
            return;
        }
        let key = self.work.functions[function as usize].key;
        let mut random = Random::new(self.work.seed ^ key, stretch + 2);
        let Range { start, end } = within;
        let moment = |_| packed(start + random.below((end - start) as usize) as u64, function);
        self.ready.extend((0..calls).map(moment));
    }
}

fn packed(offset_ns: u64, function: u32) -> u64 {
    offset_ns << FUNCTION_BITS | u64::from(function)
}

impl Iterator for Arrivals {
    type Item = Call;

    fn next(&mut self) -> Option<Call> {
        loop {
            while let Some(packed) = self.ready.get(self.taken) {
                self.taken += 1;
                let at_ns = self.begin_ns + (packed >> FUNCTION_BITS);
                if at_ns >= self.work.until_ns {
                    break;
                }
                if let Some(at_ns) = at_ns.checked_sub(self.work.from_ns) {
                    let function = (packed & (MOST_FUNCTIONS as u64 - 1)) as u32;
                    return Some(Call { at_ns, function });
                }
            }
            if !self.fill() {
                return None;
            }
        }
    }
}

impl Calls {
    /// When the trace ends: the end of its last stretch, or just behind its last call.
    pub(super) fn end_ns(&self) -> u64 {
        match self {
            Self::Counted { bin_ns, bins } => bin_ns * bins.len() as u64,
            Self::Single(calls) => calls.last().map_or(0, |(at, _)| at + 1),
        }
    }

    /// The most calls in a stretch that has a part of this time: their moments are drawn at once.
    pub(super) fn most_at_once(&self, from_ns: u64, until_ns: u64) -> u64 {
        let most = match self {
            Self::Counted { bin_ns, bins } => {
                let bins = &bins[stretches(*bin_ns, bins.len(), from_ns, until_ns)];
                let sums =
                    bins.iter().map(|bin| bin.iter().map(|(_, calls)| u64::from(*calls)).sum());
                sums.max()
            }
            Self::Single(calls) => {
                let begin = calls.partition_point(|(at, _)| *at < from_ns);
                let end = calls.partition_point(|(at, _)| *at < until_ns);
                let calls = &calls[begin..end.max(begin)];
                let minutes =
                    calls.chunk_by(|(one, _), (next, _)| one / CHUNK_NS == next / CHUNK_NS);
                minutes.map(|calls| calls.len() as u64).max()
            }
        };
        most.unwrap_or_default()
    }

    /// Whether no stretch of time goes on beyond this moment.
    pub(super) fn ends_at(&self, moment_ns: u64) -> bool {
        match self {
            Self::Counted { bin_ns, .. } => moment_ns.is_multiple_of(*bin_ns),
            Self::Single(_) => true,
        }
    }

    /// How many calls each function has in the stretches that have a part of this time.
    pub(super) fn counts(&self, functions: usize, from_ns: u64, until_ns: u64) -> Vec<u64> {
        let mut counts = vec![0; functions];
        match self {
            Self::Counted { bin_ns, bins } => {
                let bins = &bins[stretches(*bin_ns, bins.len(), from_ns, until_ns)];
                for (function, count) in bins.iter().flatten() {
                    counts[*function as usize] += u64::from(*count);
                }
            }
            Self::Single(calls) => {
                let begin = calls.partition_point(|(at, _)| *at < from_ns);
                for (_, function) in calls[begin..].iter().take_while(|(at, _)| *at < until_ns) {
                    counts[*function as usize] += 1;
                }
            }
        }
        counts
    }

    /// Keeps the functions that have a new place, and gives them that.
    pub(super) fn keep(&mut self, places: &[u32]) {
        let place =
            |function: u32| Some(places[function as usize]).filter(|place| *place != u32::MAX);
        match self {
            Self::Counted { bins, .. } => {
                for bin in bins {
                    bin.retain_mut(|(function, _)| {
                        place(*function).is_some_and(|place| {
                            *function = place;
                            true
                        })
                    });
                }
            }
            Self::Single(calls) => calls.retain_mut(|(_, function)| {
                place(*function).is_some_and(|place| {
                    *function = place;
                    true
                })
            }),
        }
    }
}

/// The places of the stretches of this length that have a part of a time.
fn stretches(bin_ns: u64, count: usize, from_ns: u64, until_ns: u64) -> Range<usize> {
    let end = (until_ns.div_ceil(bin_ns) as usize).min(count);
    ((from_ns / bin_ns) as usize).min(end)..end
}

#[cfg(test)]
mod tests;
