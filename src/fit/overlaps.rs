//! The features that rows do not state, from how the calls overlap.
//!
//! The definitions are those of the worker (`src/worker/executor.rs`), at the moment when a call begins to
//! run, behind its waits:
//!
//! - `active_calls`: the other calls of the function, on the same worker, that have begun and not ended. A
//!   call that ends at that very moment has ended; of calls that begin at the same moment, each finds those
//!   before it in the order of the rows.
//! - `worker_cpu_cores`, `worker_ram_bytes`: what all other running calls of the worker hold.
//! - `function_instances`: the instances of the function on the worker. When they started and ended is not
//!   in the rows: an instance counts from its first call's arrival to the end of its last one.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use super::intake::Call;

/// What was added to calls that lacked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Added {
    /// For how many calls each feature was computed, in the order of `Feature::ALL`.
    pub(super) features: [u64; 5],
    /// Calls whose CPU or memory is not known, and counts as the mean of their function's.
    pub(super) assumed: u64,
}

// The first and the last feature that may be worked out.
const INSTANCES: usize = 1;
const RAM: usize = 4;

/// CPU is summed in millionths of a core and memory in bytes, as the worker does: sums of whole numbers
/// come back to exactly zero.
const MICRO: f64 = 1e6;

/// Fills the features that are nothing, as far as they can be known.
pub(super) fn fill(calls: &mut [Call]) -> Added {
    let mut added = Added::default();
    let lacks = |feature: usize| calls.iter().any(|call| call.features[feature].is_nan());
    if !(INSTANCES..=RAM).any(lacks) {
        return added;
    }
    let holds = holds(calls, &mut added);
    let mut order: Vec<usize> = (0..calls.len()).collect();
    // By worker first: each is a sweep of its own. The sort keeps the order of rows of one moment.
    order.sort_by_key(|index| (calls[*index].worker, calls[*index].began));
    let instances = Instances::of(calls);
    let mut running = Running::default();
    let mut worker = None;
    for index in order {
        let call = &mut calls[index];
        if worker != Some(call.worker) {
            worker = Some(call.worker);
            running = Running::default();
        }
        running.until(call.began);
        let known = [
            f64::NAN,
            instances.at(call),
            running.of_function.get(&call.function).copied().unwrap_or(0) as f64,
            holds.as_ref().map_or(f64::NAN, |_| running.held[0] as f64 / MICRO),
            holds.as_ref().map_or(f64::NAN, |_| running.held[1] as f64),
        ];
        let features = call.features.iter_mut().zip(&mut added.features);
        for ((feature, added), known) in features.zip(known) {
            if feature.is_nan() && !known.is_nan() {
                *feature = known;
                *added += 1;
            }
        }
        let held = holds.as_ref().map_or([0, 0], |holds| holds[index]);
        running.begin(call, held);
    }
    added
}

/// What each call holds, in millionths of a core and in bytes; nothing unless something is known of each
/// function.
fn holds(calls: &[Call], added: &mut Added) -> Option<Vec<[u64; 2]>> {
    let mut sums: HashMap<u32, [(f64, f64); 2]> = HashMap::new();
    for call in calls {
        let sums = sums.entry(call.function).or_default();
        for (sum, held) in sums.iter_mut().zip([call.targets[1], call.targets[2]]) {
            if !held.is_nan() {
                *sum = (sum.0 + held, sum.1 + 1.0);
            }
        }
    }
    if sums.values().flatten().any(|(_, count)| *count == 0.0) {
        return None;
    }
    let mut assume = |call: &Call| {
        let means = sums[&call.function].map(|(sum, count)| sum / count);
        let held = [call.targets[1], call.targets[2]];
        added.assumed += u64::from(held.iter().any(|held| held.is_nan()));
        let or_mean = |held: f64, mean: f64| if held.is_nan() { mean } else { held };
        [
            (or_mean(held[0], means[0]) * MICRO + 0.5) as u64,
            (or_mean(held[1], means[1]) + 0.5) as u64,
        ]
    };
    Some(calls.iter().map(&mut assume).collect())
}

/// The calls that run at a moment, on one worker.
#[derive(Debug, Default)]
struct Running {
    /// The next to end first.
    ends: BinaryHeap<Reverse<(u64, u32, [u64; 2])>>,
    of_function: HashMap<u32, u64>,
    /// Many calls may hold more together than one can.
    held: [u128; 2],
}

impl Running {
    /// Lets the calls end that end up to this moment.
    fn until(&mut self, moment: u64) {
        while let Some(Reverse((end, function, held))) = self.ends.peek().copied()
            && end <= moment
        {
            self.ends.pop();
            if let Some(count) = self.of_function.get_mut(&function) {
                *count -= 1;
            }
            for (sum, held) in self.held.iter_mut().zip(held) {
                *sum -= u128::from(held);
            }
        }
    }

    fn begin(&mut self, call: &Call, held: [u64; 2]) {
        self.ends.push(Reverse((call.end, call.function, held)));
        *self.of_function.entry(call.function).or_default() += 1;
        for (sum, held) in self.held.iter_mut().zip(held) {
            *sum += u128::from(held);
        }
    }
}

/// When the instances of each function were seen, on each worker.
#[derive(Debug, Default)]
struct Instances(HashMap<(u32, u32), Seen>);

/// The moments at which instances were seen first and last, each in ascending order.
#[derive(Debug, Default)]
struct Seen {
    first: Vec<u64>,
    last: Vec<u64>,
}

impl Instances {
    fn of(calls: &[Call]) -> Self {
        let mut spans: HashMap<(u32, u32, u32), (u64, u64)> = HashMap::new();
        for call in calls {
            let Some(instance) = call.instance else { continue };
            let key = (call.worker, call.function, instance);
            let span = spans.entry(key).or_insert((call.arrived, call.end));
            *span = (span.0.min(call.arrived), span.1.max(call.end));
        }
        let mut all = Self::default();
        for ((worker, function, _), (first, last)) in spans {
            let seen = all.0.entry((worker, function)).or_default();
            seen.first.push(first);
            seen.last.push(last);
        }
        for seen in all.0.values_mut() {
            seen.first.sort_unstable();
            seen.last.sort_unstable();
        }
        all
    }

    /// How many there are when the call begins; NaN when its instance is not known.
    fn at(&self, call: &Call) -> f64 {
        let seen = call.instance.and_then(|_| self.0.get(&(call.worker, call.function)));
        let Some(seen) = seen else { return f64::NAN };
        let begun = seen.first.partition_point(|first| *first <= call.began);
        let ended = seen.last.partition_point(|last| *last < call.began);
        (begun - ended) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: f64 = f64::NAN;
    const ACTIVE: usize = 2;
    const CPU: usize = 3;

    fn call(function: u32, instance: u32, began: u64, end: u64, cpu: f64, ram: f64) -> Call {
        Call {
            worker: 0,
            function,
            instance: Some(instance),
            arrived: began,
            began,
            end,
            features: [100.0, NONE, NONE, NONE, NONE],
            targets: [(end - began) as f64, cpu, ram],
            ..Call::default()
        }
    }

    /// Function 0 has the instances 0 and 1, function 1 the instance 2:
    ///
    /// ```text
    ///        0   10   20   30   40   50
    /// 0/0    |---------|
    /// 0/1         |---------------|
    /// 1/2              |----|
    /// 0/0                         |----|
    /// ```
    #[test]
    fn features_are_those_of_a_drawing() {
        let mut calls = vec![
            call(0, 0, 40, 50, 0.5, 7.0),
            call(0, 0, 0, 20, 1.0, 10.0),
            call(0, 1, 10, 40, 0.25, 5.0),
            call(1, 2, 20, 30, 2.0, 100.0),
        ];
        let added = fill(&mut calls);
        let features: Vec<_> = calls.iter().map(|call| call.features).collect();
        // The call that ends when another one begins has ended; instance 1 was last seen at 40.
        assert_eq!(features[0], [100.0, 2.0, 0.0, 0.0, 0.0]);
        assert_eq!(features[1], [100.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(features[2], [100.0, 2.0, 1.0, 1.0, 10.0]);
        assert_eq!(features[3], [100.0, 1.0, 0.0, 0.25, 5.0]);
        assert_eq!(added, Added { features: [0, 4, 4, 4, 4], assumed: 0 });
    }

    #[test]
    fn workers_do_not_share_calls_and_what_is_stated_stays() {
        let mut calls = vec![
            call(0, 0, 0, 100, 1.0, 1.0),
            Call { worker: 1, ..call(0, 0, 5, 100, 1.0, 1.0) },
            Call { features: [1.0, 7.0, 8.0, 9.0, NONE], ..call(0, 0, 6, 100, 1.0, 1.0) },
        ];
        fill(&mut calls);
        assert_eq!(calls[1].features, [100.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(calls[2].features, [1.0, 7.0, 8.0, 9.0, 1.0]);
    }

    /// A record may state any whole number of bytes, up to 18 exabytes.
    #[test]
    fn calls_hold_more_together_than_one_of_them_can() {
        let most = u64::MAX as f64;
        let mut calls = vec![
            call(0, 0, 0, 9, 1.0, most),
            call(0, 0, 1, 9, 1.0, most),
            call(0, 0, 2, 9, 1.0, 5.0),
            call(0, 0, 9, 10, 1.0, 5.0),
        ];
        fill(&mut calls);
        let held: Vec<_> = calls.iter().map(|call| call.features[RAM]).collect();
        assert_eq!(held, [0.0, most, 2.0 * most, 0.0]);
    }

    #[test]
    fn of_calls_that_begin_together_each_finds_those_before_it() {
        let mut calls = vec![call(0, 0, 5, 9, 1.0, 1.0); 3];
        fill(&mut calls);
        let active: Vec<_> = calls.iter().map(|call| call.features[ACTIVE]).collect();
        assert_eq!(active, [0.0, 1.0, 2.0]);
    }

    #[test]
    fn what_is_not_known_of_any_call_of_a_function_stays_unknown() {
        let mut calls = vec![call(0, 0, 0, 9, NONE, NONE), call(1, 1, 1, 9, 1.0, 1.0)];
        calls[0].instance = None;
        fill(&mut calls);
        assert_eq!(calls[1].features[ACTIVE], 0.0);
        assert!(calls[0].features[INSTANCES].is_nan() && calls[1].features[CPU].is_nan());
        // Known of most, it counts as the mean for the others.
        let mut calls = vec![
            call(0, 0, 0, 9, NONE, 4.0),
            call(0, 0, 1, 9, 0.5, 4.0),
            call(0, 0, 2, 9, 1.5, 4.0),
        ];
        let added = fill(&mut calls);
        assert_eq!(calls[1].features[CPU], 1.0);
        assert_eq!(calls[2].features[CPU..], [1.5, 8.0]);
        assert_eq!(added.assumed, 1);
    }
}
