use std::time::Duration;

use super::*;
use crate::trace::{Format, Function, Notes, RunTime, Selection, Trace, keys};

const MINUTE: u64 = 60_000_000_000;

fn trace(calls: Calls, functions: usize) -> Trace {
    let functions = (0..functions).map(|number| {
        let name = format!("f{number}");
        let key = keys::key(name.as_bytes());
        let run_time = Some(RunTime::constant(1e6));
        Function { image: format!("trace-{name}"), name, key, run_time, ..Function::default() }
    });
    let functions = functions.collect();
    Trace { format: Format::Azure2019, functions, calls, notes: Notes::default() }
}

fn counted(bins: &[&[(u32, u32)]], functions: usize) -> Trace {
    let bins = bins.iter().map(|bin| bin.to_vec()).collect();
    trace(Calls::Counted { bin_ns: MINUTE, bins }, functions)
}

fn workload(trace: Trace, selection: &Selection) -> Arc<Workload> {
    Arc::new(Workload::new(trace, selection).unwrap())
}

#[test]
fn each_minute_has_exactly_its_calls() {
    let bins: &[&[(u32, u32)]] = &[&[(0, 1000), (1, 1)], &[], &[(1, 70), (2, 3)]];
    let work = workload(counted(bins, 3), &Selection::default());
    let mut found = [[0; 3]; 3];
    let mut last = 0;
    for call in work.arrivals() {
        assert!(call.at_ns >= last);
        last = call.at_ns;
        found[(call.at_ns / MINUTE) as usize][call.function as usize] += 1;
    }
    assert_eq!(found, [[1000, 1, 0], [0; 3], [0, 70, 3]]);
    assert_eq!(work.requested(), [1000, 71, 3]);
    assert_eq!(work.length(), Duration::from_secs(180));
}

/// The greatest distance between the shares below each moment and a uniform distribution.
fn distance_from_uniform(mut offsets: Vec<f64>) -> f64 {
    offsets.sort_by(f64::total_cmp);
    let count = offsets.len() as f64;
    let of = |(index, offset): (usize, &f64)| {
        (offset - index as f64 / count).abs().max((offset - (index as f64 + 1.0) / count).abs())
    };
    offsets.iter().enumerate().map(of).fold(0.0, f64::max)
}

#[test]
fn arrivals_within_a_minute_are_uniform_and_there_is_no_burst_at_its_beginning() {
    // 500 functions with 40 calls a minute, and 500 with 1.
    let bin: Vec<_> = (0..1000).map(|f| (f, if f < 500 { 40 } else { 1 })).collect();
    let work = workload(counted(&[&bin, &bin], 1000), &Selection::default());
    let offsets: Vec<_> =
        work.arrivals().map(|call| (call.at_ns % MINUTE) as f64 / MINUTE as f64).collect();
    let count = offsets.len() as f64;
    assert_eq!(count, 41_000.0);
    // Kolmogorov-Smirnov: beyond 1.95 / sqrt(n) once in a thousand.
    let distance = distance_from_uniform(offsets.clone());
    assert!(distance < 1.95 / count.sqrt(), "{distance}");
    // Chi-square over 60 seconds: beyond 98.3 with 59 degrees of freedom once in a thousand.
    let mut seconds = [0.0; 60];
    offsets.iter().for_each(|offset| seconds[(offset * 60.0) as usize] += 1.0);
    let expected = count / 60.0;
    let square = |found: &f64| (found - expected).powi(2) / expected;
    let chi_square: f64 = seconds.iter().map(square).sum();
    assert!(chi_square < 98.3, "{chi_square}");
    // The gaps of one function are those of a Poisson process: as many below their mean as 1 - 1/e.
    let of_one: Vec<_> = work
        .arrivals()
        .filter(|call| call.function < 500)
        .map(|call| (call.function, call.at_ns))
        .collect();
    let mut by_function: Vec<_> = of_one.into_iter().filter(|(_, at)| *at < MINUTE).collect();
    by_function.sort_unstable();
    let gaps = by_function.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    let gaps: Vec<_> = gaps.map(|pair| pair[1].1 - pair[0].1).collect();
    let mean = MINUTE as f64 / 41.0;
    let below = gaps.iter().filter(|gap| (**gap as f64) < mean).count() as f64 / gaps.len() as f64;
    assert!((below - 0.632).abs() < 0.02, "{below}");
}

#[test]
fn a_functions_arrivals_depend_on_its_name_and_the_seed_alone() {
    let bins: &[&[(u32, u32)]] = &[&[(0, 10), (1, 20)], &[(1, 5)]];
    let of = |trace: Trace, selection: &Selection, image: &str| -> Vec<u64> {
        let work = workload(trace, selection);
        let place = work.functions.iter().position(|function| function.image == image).unwrap();
        let own = work.arrivals().filter(|call| call.function == place as u32);
        own.map(|call| call.at_ns).collect()
    };
    let all = of(counted(bins, 2), &Selection::default(), "trace-f1");
    assert_eq!(all.len(), 25);
    let only = Selection { only: vec!["f1".into()], ..Selection::default() };
    assert_eq!(of(counted(bins, 2), &only, "trace-f1"), all);
    let other = Selection { seed: 2, ..Selection::default() };
    assert_ne!(of(counted(bins, 2), &other, "trace-f1"), all);
}

#[test]
fn a_part_of_the_trace_begins_at_zero_and_has_the_same_calls() {
    let bins: &[&[(u32, u32)]] = &[&[(0, 300)], &[(0, 300)], &[(0, 300)]];
    let all: Vec<_> = workload(counted(bins, 1), &Selection::default()).arrivals().collect();
    let (from, length) = (Duration::from_secs(30), Duration::from_secs(60));
    let part = Selection { from, length: Some(length), ..Selection::default() };
    let part = workload(counted(bins, 1), &part);
    let found: Vec<_> = part.arrivals().map(|call| call.at_ns + MINUTE / 2).collect();
    let expected = all.iter().map(|call| call.at_ns);
    let expected: Vec<_> =
        expected.filter(|at| (MINUTE / 2..3 * MINUTE / 2).contains(at)).collect();
    assert_eq!(found, expected);
    assert_eq!(part.requested(), [expected.len() as u64]);
    let late = Selection { from: Duration::from_secs(180), ..Selection::default() };
    let error = Workload::new(counted(bins, 1), &late).unwrap_err().to_string();
    assert_eq!(error, "--from: found 180s, but the trace ends at 180s");
}

#[test]
fn a_rate_makes_its_share_of_the_calls_of_each_function() {
    // One call a minute for ten hours, of each of 100 functions.
    let bin: Vec<_> = (0..100).map(|function| (function, 1)).collect();
    let bins: Vec<&[(u32, u32)]> = vec![&bin; 600];
    for rate in [0.1, 0.5, 2.5] {
        let selection = Selection { rate, ..Selection::default() };
        let work = workload(counted(&bins, 100), &selection);
        let counts = work.requested();
        assert!(counts.iter().all(|count| (*count as f64 - rate * 600.0).abs() <= 1.0));
        // Not all in the same minutes.
        let first = work.arrivals().filter(|call| call.at_ns < MINUTE).count() as f64;
        assert!((first - rate * 100.0).abs() < 20.0, "{first}");
    }
}

#[test]
fn single_calls_come_when_the_trace_says() {
    let calls = vec![(5, 0), (7 * MINUTE + 1, 1), (7 * MINUTE + 2, 0), (9 * MINUTE, 1)];
    let single = || trace(Calls::Single(calls.clone()), 2);
    let work = workload(single(), &Selection::default());
    let found: Vec<_> = work.arrivals().map(|call| (call.at_ns, call.function)).collect();
    assert_eq!(found, calls);
    let (from, length) = (Duration::from_secs(420), Some(Duration::from_secs(120)));
    let part = workload(single(), &Selection { from, length, ..Selection::default() });
    let found: Vec<_> = part.arrivals().map(|call| (call.at_ns, call.function)).collect();
    assert_eq!(found, [(1, 1), (2, 0)]);
    let double = workload(single(), &Selection { rate: 2.0, ..Selection::default() });
    assert_eq!(double.requested(), [4, 4]);
}

#[test]
fn what_cannot_be_replayed_is_counted() {
    let bins: &[&[(u32, u32)]] = &[&[(0, 10), (1, 20)]];
    let mut without = counted(bins, 3);
    without.functions[1].run_time = None;
    let work = workload(without, &Selection::default());
    assert_eq!(work.functions.len(), 1);
    let note = work.notes.iter().next().unwrap();
    assert_eq!((&*note.what, note.count, note.calls), ("functions without a run time", 1, 20));
    assert_eq!(note.first, "f1");
    let mut without = counted(bins, 2);
    without.functions[1].run_time = None;
    let run_time = Some(Duration::from_millis(3));
    let work = workload(without, &Selection { run_time, ..Selection::default() });
    assert_eq!(work.functions[1].run_time.as_ref().unwrap().mean_ns, 3e6);
    let only = vec!["nothing".into()];
    let error = Workload::new(counted(bins, 2), &Selection { only, ..Selection::default() });
    assert!(error.unwrap_err().to_string().starts_with("--only: found 'nothing'"));
}
