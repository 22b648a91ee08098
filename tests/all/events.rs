//! The Status stream.

use std::time::Duration;

use hyperfake_proto::controller::{Event, StatusRequest, StatusUpdate};
use tonic::Streaming;

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
async fn streams_under_one_name_all_live_and_all_hear_everything() {
    let zero = constant(Duration::ZERO);
    let worker = TestWorker::start(&[("image", &zero)], "--idle-timeout 50ms").await;
    // As two leaves of the platform listen: both under this name, each on a connection of its own.
    let other = connect(&worker.app).await;
    let request = StatusRequest { node_id: "todo".into() };
    let mut listeners = [
        worker.listen("todo").await,
        other.clone().status(request).await.unwrap().into_inner(),
        worker.listen("todo").await,
    ];
    let function = worker.register("image").await;
    for _ in 0..3 {
        worker.start_instance(&function).await.unwrap();
        worker.call(&function, b"").await.unwrap();
        for listener in &mut listeners {
            let events = until(listener, Event::Timeout).await;
            let expected =
                [Event::Start, Event::Running, Event::Call, Event::Response, Event::Timeout];
            assert_eq!(events, expected);
        }
    }
}

/// Starts and stops instances, and returns their ids.
async fn start_and_stop(worker: &TestWorker, function: &str, count: usize) -> Vec<String> {
    let mut instances = Vec::new();
    for _ in 0..count {
        let instance = worker.start_instance(function).await.unwrap();
        worker.stop_instance(&instance).await.unwrap();
        instances.push(instance);
    }
    instances
}

/// The instances whose STOP comes, up to that of `last`.
async fn stops(stream: &mut Streaming<StatusUpdate>, last: &str) -> Vec<String> {
    let mut stopped = Vec::new();
    while stopped.last().is_none_or(|id| id != last) {
        let update = stream.message().await.unwrap().unwrap();
        if update.event() == Event::Stop {
            stopped.push(update.instance_id.unwrap().id);
        }
    }
    stopped
}

#[tokio::test]
async fn one_of_two_streams_of_a_name_returns_and_neither_misses_or_repeats_an_event() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], "").await;
    let function = worker.register("image").await;
    let (mut stays, mut leaves) = (worker.listen("todo").await, worker.listen("todo").await);
    let mut all = start_and_stop(&worker, &function, 2).await;
    assert_eq!(stops(&mut leaves, &all[1]).await, all);
    drop(leaves);
    // On the same connection the worker hears of it first; from then on events wait.
    all.extend(start_and_stop(&worker, &function, 2).await);
    let mut returns = worker.listen("todo").await;
    all.extend(start_and_stop(&worker, &function, 2).await);
    assert_eq!(stops(&mut returns, &all[5]).await, all[2..]);
    assert_eq!(stops(&mut stays, &all[5]).await, all);
    // What was kept was kept for one: the next stream of the name begins anew.
    let mut new = worker.listen("todo").await;
    all.extend(start_and_stop(&worker, &function, 1).await);
    for stream in [&mut new, &mut returns, &mut stays] {
        assert_eq!(stops(stream, &all[6]).await, all[6..]);
    }
}

#[tokio::test]
async fn two_streams_of_a_name_that_both_return_both_hear_what_they_missed_and_hear_it_once() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], "").await;
    let function = worker.register("image").await;
    drop((worker.listen("todo").await, worker.listen("todo").await));
    let mut all = start_and_stop(&worker, &function, 2).await;
    let (mut one, mut two) = (worker.listen("todo").await, worker.listen("todo").await);
    let mut third = worker.listen("todo").await;
    all.extend(start_and_stop(&worker, &function, 1).await);
    assert_eq!(stops(&mut one, &all[2]).await, all);
    assert_eq!(stops(&mut two, &all[2]).await, all);
    assert_eq!(stops(&mut third, &all[2]).await, all[2..]);
}

#[tokio::test]
async fn a_stream_that_lost_its_line_does_not_make_its_node_hear_events_twice() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], "").await;
    let function = worker.register("image").await;
    // The node opens a stream anew before the worker has noticed the end of the old one.
    let old = worker.listen("leaf").await;
    let mut new = worker.listen("leaf").await;
    drop(old);
    let mut all = start_and_stop(&worker, &function, 2).await;
    assert_eq!(stops(&mut new, &all[1]).await, all);
    drop(new);
    all.extend(start_and_stop(&worker, &function, 1).await);
    let mut returns = worker.listen("leaf").await;
    assert_eq!(stops(&mut returns, &all[2]).await, all[2..]);
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
    let options = "--runtime docker --cold-start 20ms --start-answers created";
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
