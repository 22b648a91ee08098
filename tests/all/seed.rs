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
