//! The same seed gives the same record, whatever the threads do.

use std::{fmt::Write, sync::Arc, time::Duration};

use hyperfake_worker::clock::virtual_time::VirtualTime;
use tokio::runtime::Builder;

use super::{Lab, MS};

const TEXT: &str = "version: 1
worker: {contention: relative, interference: 0.2}
defaults:
  cold_start: {p50: 120ms, p99: 900ms}
  run_time: {p50: 30ms, p99: 400ms}
  noise: {sigma: 0.25}
  instance_speed: {sigma: 0.1}
  concurrency: 3
  queue: {depth: 4, timeout: 200ms}
  timeout: 600ms
  memory: {limit: 3500KiB, growth: 100KiB/s}
faults:
  - {name: flaky, percent: 2, status: UNAVAILABLE}
  - {name: slow, from: 2s, to: 4s, percent: 20, delay: {p50: 50ms, p99: 1s}}
  - {name: crash, percent: 0.5, kill: crash}
  - {name: bad start, percent: 20, start: {fail: INTERNAL}}
";

/// The record of a run in which instances die and others are started.
fn record(threads: usize) -> String {
    let time = VirtualTime::new();
    let clock = time.clock();
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = time.drive(builder.worker_threads(threads), threads).build().unwrap();
    let run = async move {
        let lab = Arc::new(Lab::new(&clock, "--cpus 4", TEXT));
        let starting = {
            let (lab, clock) = (Arc::clone(&lab), clock.clone());
            tokio::spawn(async move {
                loop {
                    let live = lab.bench.worker.instances(clock.now());
                    if live.iter().filter(|instance| !instance.is_stopped()).count() < 4 {
                        lab.bench.start().await;
                    }
                    clock.sleep_until(clock.now() + 100 * MS + Duration::from_nanos(7)).await;
                }
            })
        };
        lab.offer(3000, 5 * MS, 7).await;
        starting.abort();
        lab.records()
    };
    let mut records = runtime.block_on(async { tokio::spawn(run).await.unwrap() });
    records.sort_by_key(|record| (record.arrived, record.number));
    let mut text = String::new();
    for record in &records {
        writeln!(text, "{record:?}").unwrap();
    }
    text
}

#[test]
fn the_same_seed_gives_the_same_record_with_any_number_of_threads() {
    let expected = record(1);
    for cause in ["Overload", "TimeLimit", "OutOfMemory", "Crash", "flaky", "slow", "bad start"] {
        assert!(expected.contains(cause), "no call ended by {cause}");
    }
    assert_eq!(expected.lines().count(), 3000);
    for threads in [1, 2, 2, 2] {
        let found = record(threads);
        let differ =
            found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        assert!(found == expected, "{threads} threads: {differ:?}");
    }
}
