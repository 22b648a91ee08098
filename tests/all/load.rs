//! Many calls at once.

use std::time::{Duration, Instant};

use crate::support::{TestWorker, call, constant, request};

#[tokio::test]
async fn a_thousand_calls_at_once_on_one_connection_all_succeed_and_leave_nothing_behind() {
    let runtime = Duration::from_millis(200);
    let (worker, function, _) = TestWorker::with_instance(&constant(runtime), "").await;
    #[expect(clippy::disallowed_methods, reason = "the test looks from outside")]
    let began = Instant::now();
    let calls: Vec<_> = (0..1000)
        .map(|_| tokio::spawn(call(worker.client.clone(), request(&function, &function, b"x"))))
        .collect();
    for call in calls {
        let took = call.await.unwrap().unwrap().trailers.took();
        assert!(took >= runtime, "a call ended early, after {took:?}");
    }
    let took = began.elapsed();
    println!("1000 calls of 200 ms at once took {took:?}");
    // Far below one after the other; how close to 200 ms depends on the machine.
    assert!(took < 100 * runtime, "{took:?}");
    worker.is_idle().await;
}

#[tokio::test]
async fn twenty_thousand_calls_at_once_on_one_connection_are_no_attack() {
    let (worker, function, _) = TestWorker::with_instance(&constant(Duration::ZERO), "").await;
    let calls: Vec<_> = (0..20_000)
        .map(|_| tokio::spawn(call(worker.client.clone(), request(&function, &function, b"x"))))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    worker.is_idle().await;
}
