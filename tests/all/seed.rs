//! The same seed gives the same random numbers.

use std::time::Duration;

use crate::support::{TestWorker, constant};

/// The ids of two functions and of an instance of each, and their answers to two calls.
async fn run(options: &str) -> Vec<String> {
    let options = format!("--response random:32 {options}");
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], &options).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let function = worker.register("image").await;
        let instance = worker.start_instance(&function).await.unwrap();
        seen.extend([function.clone(), instance]);
        for _ in 0..2 {
            let answer = worker.call(&function, b"").await.unwrap();
            assert_eq!(answer.response.data.len(), 32);
            seen.push(format!("{:?}", answer.response.data));
        }
    }
    seen
}

#[tokio::test]
async fn the_same_seed_gives_the_same_ids_and_answers_and_another_one_gives_others() {
    let first = run("--seed 7").await;
    assert_eq!(run("--seed 7").await, first);
    for other in [run("--seed 8").await, run("").await] {
        assert!(other.iter().all(|drawn| !first.contains(drawn)), "{other:?}");
    }
    let mut distinct = first.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), first.len(), "{first:?}");
}

#[tokio::test]
async fn the_workers_of_a_fleet_draw_other_numbers_than_each_other() {
    let options = "--seed 7 --fleet 2";
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], options).await;
    let function = worker.register("image").await;
    let clock = hyperfake_worker::clock::precise::start();
    let mut ids = Vec::new();
    for member in worker.app.workers() {
        ids.push(member.start(&function, &clock).await.unwrap().id);
    }
    assert_ne!(ids[0], ids[1]);
}

/// Half of the calls take less than 8 us, on a logarithmic scale from 1 to 64 us.
const QUANTILES: &str = r#"{"kind": "quantiles", "levels": [0, 1], "runtime_ns": [[1000, 64000]],
    "cpu_cores": [[0.25, 1]], "ram_bytes": [[1000, 64000]]}"#;

/// What some calls of a model that knows distributions take, after other calls of another function.
async fn draws(options: &str, others: usize) -> Vec<(Duration, f64, u64)> {
    let models = [("image", QUANTILES), ("other", QUANTILES)];
    let worker = TestWorker::start(&models, options).await;
    let (function, other) = (worker.register("image").await, worker.register("other").await);
    for function in [&function, &other] {
        worker.start_instance(function).await.unwrap();
    }
    let mut drawn = Vec::new();
    for _ in 0..64 {
        for _ in 0..others {
            worker.call(&other, b"").await.unwrap();
        }
        let trailers = worker.call(&function, b"").await.unwrap().trailers;
        drawn.push((trailers.runtime, trailers.cpu_cores.unwrap(), trailers.ram_bytes.unwrap()));
    }
    drawn
}

#[tokio::test]
async fn the_same_seed_draws_the_same_calls_whatever_else_the_worker_does() {
    let first = draws("--seed 7", 0).await;
    assert_eq!(draws("--seed 7", 2).await, first);
    assert_ne!(draws("--seed 8", 0).await, first);
    let us = Duration::from_micros;
    assert!(first.iter().all(|(runtime, ..)| (us(1)..=us(64)).contains(runtime)), "{first:?}");
    let short = first.iter().filter(|(runtime, ..)| *runtime < us(8)).count();
    assert!((16..=48).contains(&short), "{short} of 64: {first:?}");
    // Each number has a uniform number of its own: run time and RAM have the same distribution.
    let same = first.iter().filter(|(runtime, _, ram)| runtime.as_nanos() == u128::from(*ram));
    assert!(same.count() < 4, "{first:?}");
    let small = first.iter().filter(|(_, cpu, _)| *cpu < 0.5).count();
    assert!((16..=48).contains(&small), "{small} of 64: {first:?}");
}
