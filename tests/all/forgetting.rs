//! Functions that have had no instance for a while.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use hyperfake_worker::{clock::precise, worker::STOPPED_INSTANCES_STAY};
use tonic::Code;

use crate::support::{TestWorker, constant, eventually};

/// What happens when so much time has passed: that of functions without instances is as long as
/// that of stopped instances.
fn time_passes(worker: &TestWorker) {
    let clock = precise::start();
    worker.worker().housekeeping(clock.now() + 2 * STOPPED_INSTANCES_STAY, &clock);
}

async fn refusal(worker: &TestWorker, function: &str) -> String {
    let status = worker.call(function, b"").await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    status.message().to_owned()
}

/// Lets time pass until the function is forgotten: its instance ends in a task of its own.
async fn is_forgotten(worker: &TestWorker, function: &str) {
    let forgotten = AtomicBool::new(false);
    let look = async {
        while !refusal(worker, function).await.contains("was started on this worker") {
            time_passes(worker);
        }
        forgotten.store(true, Ordering::Relaxed);
    };
    let waits = eventually("the function is forgotten", || forgotten.load(Ordering::Relaxed));
    tokio::join!(look, waits);
}

#[tokio::test]
async fn a_function_without_instances_is_forgotten_and_goes_on_where_it_ended() {
    let zero = constant(Duration::ZERO);
    let options = "--seed 7 --auto-remove --response random:8";
    let [remembers, forgets] = [
        TestWorker::start(&[("image", &zero)], options).await,
        TestWorker::start(&[("image", &zero)], options).await,
    ];
    let mut seen = [Vec::new(), Vec::new()];
    for (worker, seen) in [&remembers, &forgets].into_iter().zip(&mut seen) {
        let function = worker.register("image").await;
        for _ in 0..3 {
            let instance = worker.start_instance(&function).await.unwrap();
            let answer = worker.call(&function, b"").await.unwrap();
            worker.stop_instance(&instance).await.unwrap();
            assert!(refusal(worker, &function).await.contains("no live instance"));
            seen.push((instance, answer.response.data));
            if std::ptr::eq(worker, &forgets) {
                is_forgotten(worker, &function).await;
            }
        }
    }
    let [remembered, forgotten] = seen;
    assert_eq!(remembered, forgotten);
    let mut distinct = remembered.clone();
    distinct.dedup();
    assert_eq!(distinct.len(), 3, "{remembered:?}");
}

#[tokio::test]
async fn a_function_with_an_instance_is_kept() {
    let zero = constant(Duration::ZERO);
    let (worker, function, first) = TestWorker::with_instance(&zero, "").await;
    let second = worker.start_instance(&function).await.unwrap();
    time_passes(&worker);
    worker.stop_instance(&first).await.unwrap();
    time_passes(&worker);
    worker.call(&function, b"").await.unwrap();
    worker.stop_instance(&second).await.unwrap();
    is_forgotten(&worker, &function).await;
}
