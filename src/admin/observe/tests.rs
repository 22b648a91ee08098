use std::{sync::Arc, thread, time::Duration};

use hyperfake_predictor::{ErrorKind, Features, Prediction, RawPrediction};
use proptest::prelude::*;

use super::{shard::MAX_FUNCTIONS, *};
use crate::{
    record::{CallOutcome, InstanceId},
    scenario::Cause,
};

const MS: Duration = Duration::from_millis(1);

/// A call that took this long, as planned, and then ended so.
fn record(function: &Arc<str>, took: Duration, outcome: CallOutcome, reason: Cause) -> CallRecord {
    let arrived = Moment::from_nanos(1_000_000_000);
    let planned = Prediction { runtime: took, cpu_cores: 0.5, ram_bytes: 8 << 20 };
    CallRecord {
        worker: "worker".into(),
        function: Arc::clone(function),
        image: "image".into(),
        instance: Some(InstanceId::from_bits(u64::MAX)),
        number: Some(0),
        cold: false,
        features: Some(Features::IDLE),
        predicted: Some(RawPrediction::from_array([took.as_nanos() as f64, 0.5, 8e6])),
        planned: Some(planned),
        arrived,
        queued: Duration::ZERO,
        cold_start: Duration::ZERO,
        began: Some(arrived),
        ended: arrived + took,
        outcome,
        reason,
    }
}

fn answered(function: &Arc<str>, took: Duration) -> CallRecord {
    record(function, took, CallOutcome::Succeeded, Cause::None)
}

/// A call that no instance ran.
fn refused(function: &str) -> CallRecord {
    let outcome = CallOutcome::Failed(ErrorKind::NotFound);
    CallRecord {
        image: "".into(),
        instance: None,
        number: None,
        predicted: None,
        planned: None,
        began: None,
        ..record(&function.into(), MS, outcome, Cause::NoInstance)
    }
}

fn observatory() -> (Arc<Observatory>, Observed) {
    (Observatory::new(2, TimeScale::ONE, false), Observed::new(2))
}

fn drain(observatory: &Observatory, observed: &mut Observed) {
    observatory.drain(observed, Moment::from_nanos(2_000_000_000));
}

#[test]
fn every_call_is_counted_once_whatever_the_threads_and_the_reader_do() {
    const THREADS: usize = 7;
    const CALLS: usize = 5000;
    let (observatory, mut observed) = observatory();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let watcher = observatory.watcher(number % 2);
                scope.spawn(move || {
                    let functions = ["a", "b", "c"].map(Arc::<str>::from);
                    for call in 0..CALLS {
                        watcher.call_ended(&answered(&functions[call % 3], MS));
                    }
                })
            })
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            drain(&observatory, &mut observed);
        }
    });
    drain(&observatory, &mut observed);
    let totals = &observed.totals;
    let all = (THREADS * CALLS) as u64;
    let ok = Outcome::Ok as usize;
    assert_eq!(totals.functions.iter().map(|function| function.calls[ok]).sum::<u64>(), all);
    assert_eq!(totals.calls.values().map(|calls| calls[ok]).sum::<u64>(), all);
    assert_eq!(totals.calls.len(), 6, "three functions on two workers");
    let run: u64 = totals.functions.iter().map(|function| function.run.count()).sum();
    assert_eq!((run, observed.interval.latency.len()), (all, all));
    assert_eq!(observed.interval.workers.iter().map(|(ended, _)| ended).sum::<u64>(), all);
}

#[test]
fn a_call_is_counted_by_how_it_ended() {
    let (observatory, mut observed) = observatory();
    let (watcher, function) = (observatory.watcher(0), Arc::from("f"));
    let failed = CallOutcome::Failed;
    let slow = Cause::Fault("slow".into());
    let ends = [
        (CallOutcome::Succeeded, slow.clone(), Outcome::Ok),
        (failed(ErrorKind::Internal), Cause::Model, Outcome::Error),
        (failed(ErrorKind::Exhausted), Cause::QueueTimeout, Outcome::Overload),
        (failed(ErrorKind::Timeout), Cause::TimeLimit, Outcome::Timeout),
        (failed(ErrorKind::Unavailable), Cause::OutOfMemory, Outcome::OutOfMemory),
        (failed(ErrorKind::Unavailable), Cause::Crash, Outcome::Crash),
        (failed(ErrorKind::Unavailable), slow, Outcome::Fault),
        (CallOutcome::Cancelled, Cause::Client, Outcome::Cancelled),
    ];
    for (outcome, reason, _) in &ends {
        watcher.call_ended(&record(&function, MS, *outcome, reason.clone()));
    }
    drain(&observatory, &mut observed);
    let place = observed.totals.place("f").unwrap() as usize;
    assert_eq!(observed.totals.functions[place].calls, [1; Outcome::COUNT]);
    let named: Vec<_> = ends.iter().map(|(.., outcome)| outcome.name()).collect();
    assert_eq!(named, Outcome::NAMES);
    assert_eq!(observed.totals.faults.get("slow"), Some(&2));
    let failed = observed.notable.failed();
    assert_eq!(failed.len(), 6, "neither the answered one nor the cancelled one");
}

#[test]
fn what_a_client_calls_a_function_gets_no_series() {
    let (observatory, mut observed) = observatory();
    let watcher = observatory.watcher(0);
    for number in 0..5000 {
        watcher.call_ended(&refused(&format!("\"><script>{number}")));
    }
    let known: Arc<str> = "known".into();
    watcher.call_ended(&answered(&known, MS));
    // A function that is known and has no instance at the moment, by an id of the call's own.
    watcher.call_ended(&refused("known"));
    drain(&observatory, &mut observed);
    let totals = &observed.totals;
    assert_eq!(totals.functions.len(), 2);
    let error = Outcome::Error as usize;
    assert_eq!(totals.functions.iter().map(|one| one.calls[error]).collect::<Vec<_>>(), [5000, 1]);
}

#[test]
fn a_thousand_functions_get_series_and_an_unused_one_gives_way() {
    let (observatory, mut observed) = observatory();
    let watcher = observatory.watcher(0);
    let call = |name: String| watcher.call_ended(&answered(&name.into(), MS));
    let long = "x".repeat(250);
    for number in 0..MAX_FUNCTIONS + 10 {
        call(format!("{long}{number}"));
    }
    drain(&observatory, &mut observed);
    assert_eq!(observed.totals.functions.len(), MAX_FUNCTIONS + 1);
    assert_eq!(observed.totals.functions[0].calls.iter().sum::<u64>(), 10, "of the others");
    let version = observed.totals.version;
    call("late".into());
    drain(&observatory, &mut observed);
    assert_eq!(observed.totals.place("late"), None, "all were used a moment ago");
    call("late".into());
    observatory.drain(&mut observed, Moment::from_nanos(3_600_000_000_000));
    let place = observed.totals.place("late").unwrap();
    assert_eq!(observed.totals.functions.len(), MAX_FUNCTIONS + 1);
    assert_eq!(observed.totals.functions[place as usize].calls.iter().sum::<u64>(), 1);
    assert!(observed.totals.version > version);
}

#[test]
fn what_is_kept_of_many_calls_is_bounded() {
    let (observatory, mut observed) = observatory();
    let (watcher, function) = (observatory.watcher(0), Arc::from("f"));
    for number in 1..=10_000 {
        let took = Duration::from_micros(number);
        watcher.call_ended(&answered(&function, took));
        let failed = CallOutcome::Failed(ErrorKind::Unavailable);
        watcher.call_ended(&record(&function, took, failed, Cause::Crash));
    }
    for round in 0..10 {
        observatory.drain(&mut observed, Moment::from_nanos(round));
    }
    let slowest = observed.notable.slowest();
    assert!(slowest.len() <= 50 && observed.notable.failed().len() <= 100);
    assert_eq!(slowest[0].times.total, Duration::from_millis(10));
    assert!(slowest.is_sorted_by_key(|call| std::cmp::Reverse(call.times.total)));
    assert!(!observed.interval.pairs.is_empty() && observed.interval.pairs.len() <= 64);
}

#[test]
fn calls_that_ended_minutes_ago_are_shown_no_longer() {
    let (observatory, mut observed) = observatory();
    let (watcher, function) = (observatory.watcher(0), Arc::from("f"));
    let failed = CallOutcome::Failed(ErrorKind::Unavailable);
    watcher.call_ended(&record(&function, MS, failed, Cause::Crash));
    drain(&observatory, &mut observed);
    let version = observed.notable.version;
    assert_eq!((observed.notable.failed().len(), observed.notable.slowest().len()), (1, 1));
    observatory.drain(&mut observed, Moment::from_nanos(400_000_000_000));
    assert_eq!((observed.notable.failed().len(), observed.notable.slowest().len()), (0, 0));
    assert!(observed.notable.version > version);
}

#[test]
fn functions_that_were_called_keep_their_memory_beside_idle_ones() {
    let mut shard = Shard::default();
    let functions = ["a", "b", "c"].map(Arc::<str>::from);
    let call = |shard: &mut Shard, function: usize| {
        let record = answered(&functions[function], MS);
        let times = Times::of(&record, TimeScale::ONE);
        shard.call_ended(&record, 0, times);
    };
    let ids =
        |shard: &Shard| shard.functions.iter().map(|part| part.id.to_string()).collect::<Vec<_>>();
    (0..3).for_each(|function| call(&mut shard, function));
    shard.clear();
    assert_eq!(ids(&shard), ["other", "a", "b", "c"]);
    call(&mut shard, 0);
    call(&mut shard, 2);
    shard.clear();
    assert_eq!(ids(&shard), ["other", "a", "c"]);
    // Each is still counted as itself.
    [2, 2, 1, 0].into_iter().for_each(|function| call(&mut shard, function));
    let counted: Vec<_> =
        shard.functions.iter().map(|part| (&*part.id, part.calls[0], part.run.count())).collect();
    assert_eq!(counted, [("other", 0, 0), ("a", 1, 1), ("c", 2, 2), ("b", 1, 1)]);
    let places: u64 = shard.places().map(|place| place.calls[0]).sum();
    assert_eq!(places, 4);
}

#[test]
fn the_cpu_time_of_an_instance_leaves_out_what_its_calls_waited() {
    let observatory = Observatory::new(2, TimeScale::ONE, true);
    let mut observed = Observed::new(1);
    let (watcher, function) = (observatory.watcher(0), Arc::from("f"));
    // As planned; late by 9 s; and ended before its time.
    let planned = |took: Duration| Prediction { runtime: took, cpu_cores: 0.5, ram_bytes: 1 };
    let second = Duration::from_secs(1);
    for (took, plan) in [(second, second), (10 * second, second), (second, 10 * second)] {
        let record = answered(&function, took);
        watcher.call_ended(&CallRecord { planned: Some(planned(plan)), ..record });
    }
    drain(&observatory, &mut observed);
    let total: f64 = observed.totals.instances.values().map(|total| total.cpu_seconds).sum();
    assert_eq!(total, 1.5);
}

proptest! {
    /// The slowest calls of a thread are those, in whatever order they come.
    #[test]
    fn the_slowest_calls_are_kept(times in prop::collection::vec(1u64..1_000_000, 1..200)) {
        let (observatory, mut observed) = observatory();
        let (watcher, function) = (observatory.watcher(0), Arc::from("f"));
        for time in &times {
            watcher.call_ended(&answered(&function, Duration::from_micros(*time)));
        }
        drain(&observatory, &mut observed);
        let mut expected = times;
        expected.sort_unstable_by(|a, b| b.cmp(a));
        expected.truncate(16);
        let kept: Vec<_> = observed.notable.slowest().iter()
            .map(|call| call.times.total.as_micros() as u64).collect();
        prop_assert_eq!(kept, expected);
    }
}
