//! What a client that starts an instance is answered, and when.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyperfake_proto::controller::{Event, common::FunctionId};
use hyperfake_worker::{clock::precise::now, worker::InstanceState};
use tonic::{Code, Request};

use crate::support::{TestWorker, call, code, connect, constant, eventually, request};

const MS: Duration = Duration::from_millis(1);

/// A worker whose instances take this long to start.
async fn worker(cold_start: Duration, options: &str) -> (TestWorker, String) {
    let options = format!("--runtime docker --cold-start {cold_start:?} {options}");
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], &options).await;
    let function = worker.register("image").await;
    (worker, function)
}

#[tokio::test]
async fn start_is_answered_when_the_instance_is_ready_and_its_calls_wait_for_nothing() {
    let (worker, function) = worker(300 * MS, "").await;
    let mut events = worker.listen("leaf").await;
    let began = now();
    worker.start_instance(&function).await.unwrap();
    assert!((now() - began) >= 300 * MS, "answered after {:?}", (now() - began));
    let answer = worker.call(&function, b"").await.unwrap();
    assert_eq!(answer.trailers.cold_start, Duration::ZERO);
    for expected in [Event::Start, Event::Running, Event::Call, Event::Response] {
        assert_eq!(events.message().await.unwrap().unwrap().event(), expected);
    }
}

#[tokio::test]
async fn start_is_answered_at_once_when_that_is_asked_for_and_the_first_call_waits() {
    // It would be ready in an hour.
    let (worker, function) = worker(Duration::from_secs(3600), "--start-answers created").await;
    worker.start_instance(&function).await.unwrap();
    let (worker, function) = self::worker(300 * MS, "--start-answers created").await;
    worker.start_instance(&function).await.unwrap();
    let cold_start = worker.call(&function, b"").await.unwrap().trailers.cold_start;
    assert!(cold_start > Duration::ZERO && cold_start <= 300 * MS, "{cold_start:?}");
    assert_eq!(worker.call(&function, b"").await.unwrap().trailers.cold_start, Duration::ZERO);
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_the_answer_leaves_an_instance_behind() {
    let (worker, function) = worker(1000 * MS, "--idle-timeout 50ms").await;
    let mut events = worker.listen("leaf").await;
    // The deadline passes, as the client says with its request; and the client cancels.
    let mut start = Request::new(FunctionId { id: function.clone() });
    start.set_timeout(50 * MS);
    let refused = code(worker.client.clone().start(start).await);
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&refused), "{refused:?}");
    let (mut client, id) = (worker.client.clone(), function.clone());
    let start = tokio::spawn(async move { client.start(FunctionId { id }).await });
    eventually("both exist", || worker.worker().usage().instances == 2).await;
    start.abort();
    // Both become ready and, as no call comes, grow idle.
    let mut heard = Vec::new();
    while heard.iter().filter(|event| **event == Event::Timeout).count() < 2 {
        heard.push(events.message().await.unwrap().unwrap().event());
    }
    assert_eq!(heard.iter().filter(|event| **event == Event::Start).count(), 2);
    assert_eq!(heard.iter().filter(|event| **event == Event::Running).count(), 2);
    assert_eq!(heard.len(), 6, "{heard:?}");
}

#[tokio::test]
async fn an_instance_that_is_stopped_during_its_start_was_never_running() {
    let (worker, function) = worker(Duration::from_secs(3600), "").await;
    let mut events = worker.listen("leaf").await;
    let (mut client, id) = (worker.client.clone(), function.clone());
    let start = tokio::spawn(async move { client.start(FunctionId { id }).await });
    let update = events.message().await.unwrap().unwrap();
    assert_eq!(update.event(), Event::Start);
    let instance = update.instance_id.unwrap().id;
    worker.stop_instance(&instance).await.unwrap();
    let status = start.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let expected = format!("the instance '{instance}' was stopped before it was ready");
    assert!(status.message().contains(&expected), "{status}");
    assert_eq!(events.message().await.unwrap().unwrap().event(), Event::Stop);
}

#[tokio::test]
async fn a_worker_that_is_stopped_answers_the_starts_that_wait() {
    let (worker, function) = worker(Duration::from_secs(3600), "--shutdown-grace 1h").await;
    let mut events = worker.listen("leaf").await;
    let (mut client, id) = (worker.client.clone(), function.clone());
    let start = tokio::spawn(async move { client.start(FunctionId { id }).await });
    assert_eq!(events.message().await.unwrap().unwrap().event(), Event::Start);
    // No call runs, so nothing is waited for.
    worker.app.shut_down(std::future::pending()).await;
    let status = start.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("shutting down"), "{status}");
    assert_eq!(events.message().await.unwrap().unwrap().event(), Event::Down);
    assert!(events.message().await.unwrap().is_none());
}

#[tokio::test]
async fn many_starts_at_once_all_take_one_cold_start_and_all_succeed() {
    let (worker, function) = worker(300 * MS, "").await;
    let clients = [connect(&worker.app).await, connect(&worker.app).await];
    let began = now();
    let starts: Vec<_> = (0..500)
        .map(|number| {
            let (mut client, id) = (clients[number % 2].clone(), function.clone());
            tokio::spawn(async move {
                let started = client.start(FunctionId { id: id.clone() }).await.unwrap();
                // The first thing that a leaf does then.
                let answer = call(client, request(&id, &id, b"")).await.unwrap();
                (started.into_inner().instance_id.unwrap().id, answer.trailers.cold_start)
            })
        })
        .collect();
    let mut instances = HashSet::new();
    for start in starts {
        let (instance, cold_start) = start.await.unwrap();
        assert_eq!(cold_start, Duration::ZERO);
        instances.insert(instance);
    }
    let took = now() - began;
    assert_eq!(instances.len(), 500);
    // One after the other they would take 150 s.
    assert!((300 * MS..30_000 * MS).contains(&took), "{took:?}");
    let ready = worker.worker().instances(now());
    assert!(ready.iter().all(|instance| instance.state(now()) == InstanceState::Idle));
}

/// A leaf that scales a function up for the calls of a burst: each call that finds no instance
/// running starts one, unless ten starts are under way; then it tries again. (HyperFaaS's own leaf
/// refuses the call in that case.)
#[tokio::test]
async fn a_leaf_with_ten_starts_at_once_loses_no_call_of_a_cold_burst() {
    const STARTS: usize = 10;
    let (worker, function) = worker(300 * MS, "").await;
    let (starting, running) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let burst: Vec<_> = (0..200)
        .map(|_| {
            let (mut client, id) = (worker.client.clone(), function.clone());
            let (starting, running) = (Arc::clone(&starting), Arc::clone(&running));
            tokio::spawn(async move {
                while running.load(Ordering::SeqCst) == 0 {
                    if starting.fetch_add(1, Ordering::SeqCst) < STARTS {
                        client.start(FunctionId { id: id.clone() }).await.unwrap();
                        running.fetch_add(1, Ordering::SeqCst);
                    } else {
                        tokio::task::yield_now().await;
                    }
                    starting.fetch_sub(1, Ordering::SeqCst);
                }
                call(client, request(&id, &id, b"")).await.unwrap().trailers.cold_start
            })
        })
        .collect();
    for call in burst {
        assert_eq!(call.await.unwrap(), Duration::ZERO);
    }
    assert_eq!(running.load(Ordering::SeqCst), STARTS);
}
