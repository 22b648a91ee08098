//! The Status stream.

use std::time::Duration;

use hyperfake_proto::controller::{Event, StatusUpdate};
use tonic::{Code, Streaming};

use crate::support::{TestWorker, connect, constant, eventually};

async fn next(stream: &mut Streaming<StatusUpdate>) -> Event {
    stream.message().await.unwrap().unwrap().event()
}

async fn until(stream: &mut Streaming<StatusUpdate>, last: Event) -> Vec<Event> {
    let mut events = Vec::new();
    while events.last() != Some(&last) {
        events.push(next(stream).await);
    }
    events
}

#[tokio::test]
async fn every_listener_hears_everything_in_order() {
    let zero = constant(Duration::ZERO);
    let worker = TestWorker::start(&[("image", &zero)], "").await;
    let mut listeners = [worker.listen("a").await, worker.listen("b").await];
    let function = worker.register("image").await;
    let instance = worker.start_instance(&function).await.unwrap();
    worker.call(&function, b"").await.unwrap();
    worker.stop_instance(&instance).await.unwrap();
    for listener in &mut listeners {
        let events = until(listener, Event::Stop).await;
        let expected = [Event::Start, Event::Running, Event::Call, Event::Response, Event::Stop];
        assert_eq!(events, expected);
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_has_a_failed_response() {
    let model = constant(Duration::from_secs(600));
    let worker = TestWorker::start(&[("image", &model)], "").await;
    let mut listener = worker.listen("a").await;
    let function = worker.register("image").await;
    worker.start_instance(&function).await.unwrap();
    let request = crate::support::request(&function, &function, b"");
    let call = tokio::spawn(crate::support::call(worker.client.clone(), request));
    until(&mut listener, Event::Call).await;
    call.abort();
    let update = listener.message().await.unwrap().unwrap();
    assert_eq!(update.event(), Event::Response);
    assert_eq!(update.status, 1);
}

#[tokio::test]
async fn a_listener_that_returns_in_time_missed_nothing() {
    let zero = constant(Duration::ZERO);
    let (worker, function, _) = TestWorker::with_instance(&zero, "").await;
    let mut listener = worker.listen("leaf").await;
    worker.call(&function, b"").await.unwrap();
    assert_eq!(next(&mut listener).await, Event::Call);
    assert_eq!(next(&mut listener).await, Event::Response);
    drop(listener);
    // On the same connection the worker hears of it first; from then on events wait.
    let instance = worker.start_instance(&function).await.unwrap();
    worker.stop_instance(&instance).await.unwrap();
    let mut listener = worker.listen("leaf").await;
    let missed = until(&mut listener, Event::Stop).await;
    assert_eq!(missed, [Event::Start, Event::Running, Event::Stop]);
}

#[tokio::test]
async fn a_listener_that_returns_too_late_begins_anew() {
    let zero = constant(Duration::ZERO);
    let (worker, function, _) = TestWorker::with_instance(&zero, "--timeout 0.05").await;
    let listener = worker.listen("leaf").await;
    drop(listener);
    let instance = worker.start_instance(&function).await.unwrap();
    worker.stop_instance(&instance).await.unwrap();
    pause(Duration::from_millis(300)).await;
    let mut listener = worker.listen("leaf").await;
    worker.call(&function, b"").await.unwrap();
    assert_eq!(next(&mut listener).await, Event::Call);
}

#[tokio::test]
async fn a_node_that_listens_twice_is_heard_on_its_newest_stream() {
    let zero = constant(Duration::ZERO);
    let (worker, function, _) = TestWorker::with_instance(&zero, "").await;
    let mut old = worker.listen("leaf").await;
    let mut new = worker.listen("leaf").await;
    let status = old.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    worker.call(&function, b"").await.unwrap();
    assert_eq!(next(&mut new).await, Event::Call);
}

#[tokio::test]
async fn a_slow_listener_loses_calls_but_never_instances() {
    let zero = constant(Duration::ZERO);
    let options = "--update-buffer-size 10 --max-rpcs 0";
    let (worker, function, _) = TestWorker::with_instance(&zero, options).await;
    // It takes no more than what fits into its window, and reads nothing of it for now.
    let mut listener = worker.listen("slow").await;
    for _ in 0..5000 {
        worker.call(&function, b"").await.unwrap();
    }
    let instance = worker.start_instance(&function).await.unwrap();
    worker.stop_instance(&instance).await.unwrap();
    let events = until(&mut listener, Event::Stop).await;
    let count = |kind| events.iter().filter(|event| **event == kind).count();
    assert!(count(Event::Call) < 5000, "nothing was left out");
    assert_eq!(count(Event::Start), 1);
    assert_eq!(count(Event::Running), 1);
    assert_eq!(count(Event::Stop), 1);
}

#[tokio::test]
async fn a_listener_that_never_reads_is_nobody_elses_trouble() {
    let zero = constant(Duration::ZERO);
    let options = "--update-buffer-size 10 --max-rpcs 0";
    let (worker, function, _) = TestWorker::with_instance(&zero, options).await;
    let _deaf = worker.listen("deaf").await;
    let mut other = worker.listen("other").await;
    for _ in 0..2000 {
        worker.call(&function, b"").await.unwrap();
        assert_eq!(next(&mut other).await, Event::Call);
        assert_eq!(next(&mut other).await, Event::Response);
    }
}

#[tokio::test]
async fn an_instance_that_is_stopped_lets_its_calls_finish_first() {
    let model = constant(Duration::from_secs(1));
    let (worker, function, instance) = TestWorker::with_instance(&model, "").await;
    let mut listener = worker.listen("a").await;
    let request = crate::support::request(&function, &function, b"");
    let call = tokio::spawn(crate::support::call(worker.client.clone(), request));
    eventually("the call runs", || worker.worker().usage().ram_bytes > 0).await;
    worker.stop_instance(&instance).await.unwrap();
    call.await.unwrap().unwrap();
    let events = until(&mut listener, Event::Stop).await;
    assert_eq!(events, [Event::Call, Event::Response, Event::Stop]);
}

#[tokio::test]
async fn an_instance_is_running_before_its_first_call_begins() {
    let model = constant(Duration::ZERO);
    let options = "--runtime docker --cold-start 20ms";
    let worker = TestWorker::start(&[("image", &model)], options).await;
    let mut listener = worker.listen("a").await;
    // On connections of their own, and so on other threads than the instance's life.
    let clients = [connect(&worker.app).await, connect(&worker.app).await];
    for _ in 0..30 {
        let function = worker.register("image").await;
        let instance = worker.start_instance(&function).await.unwrap();
        let calls = clients.clone().map(|client| {
            tokio::spawn(crate::support::call(
                client,
                crate::support::request(&function, &function, b""),
            ))
        });
        for call in calls {
            call.await.unwrap().unwrap();
        }
        worker.stop_instance(&instance).await.unwrap();
        let events = until(&mut listener, Event::Stop).await;
        assert_eq!(events[..2], [Event::Start, Event::Running], "{events:?}");
        assert_eq!(events.len(), 7, "{events:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "more than a moment is all that is meant")]
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
