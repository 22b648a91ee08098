//! Many calls at once.

use std::time::Duration;

use crate::support::{TestWorker, call, constant, request};

#[tokio::test]
async fn a_thousand_calls_at_once_on_one_connection_succeed_and_release_everything() {
    let model = constant(Duration::from_millis(200));
    let (worker, function, _) = TestWorker::with_instance(&model, "").await;
    let calls: Vec<_> = (0..1000)
        .map(|_| tokio::spawn(call(worker.client.clone(), request(&function, &function, b"x"))))
        .collect();
    for call in calls {
        let took = call.await.unwrap().unwrap().trailers.took();
        assert!(took >= Duration::from_millis(200), "a call ended early, after {took:?}");
    }
    worker.is_idle().await;
}

#[tokio::test]
async fn twenty_thousand_calls_at_once_on_one_connection_all_succeed() {
    let (worker, function, _) = TestWorker::with_instance(&constant(Duration::ZERO), "").await;
    let calls: Vec<_> = (0..20_000)
        .map(|_| tokio::spawn(call(worker.client.clone(), request(&function, &function, b"x"))))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    worker.is_idle().await;
}
