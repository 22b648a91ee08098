//! Graceful shutdown.

use std::{future::pending, time::Duration};

use hyperfake_proto::controller::Event;
use hyperfake_worker::worker::InstanceState;
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{TestWorker, call, channel, constant, eventually, request};

#[tokio::test]
async fn shutdown_drains_calls_and_reports_not_serving() {
    let model = constant(Duration::from_millis(500));
    let (worker, function, instance) = TestWorker::with_instance(&model, "").await;
    let mut status = worker.listen("leaf").await;
    let address = worker.app.address();
    let mut health = HealthClient::new(channel(&worker.app).await);
    let request_health = || HealthCheckRequest { service: "worker".into() };
    let mut watch = health.watch(request_health()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);

    let running = tokio::spawn(call(worker.client.clone(), request(&function, &function, b"")));
    let shared = worker.worker().clone();
    eventually("the call runs", || shared.usage().ram_bytes > 0).await;
    let client = worker.client.clone();
    let app = worker.app;
    let ending = tokio::spawn(app.shut_down(pending()));
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
    let refused = call(client, request(&function, &function, b"")).await.unwrap_err();
    assert!([Code::Unavailable, Code::Cancelled, Code::Unknown].contains(&refused.code()));
    running.await.unwrap().unwrap();

    let lateness = ending.await.unwrap();
    assert_eq!(lateness.count(), 1);
    let mut events = Vec::new();
    while let Some(update) = status.message().await.unwrap() {
        assert_eq!(update.instance_id.as_ref().unwrap().id, instance);
        events.push(update.event());
    }
    assert_eq!(events, [Event::Call, Event::Response, Event::Down]);
    assert!(TcpStream::connect(address).await.is_err(), "still accepting");
}

#[tokio::test]
async fn every_instance_has_exactly_one_last_event() {
    let model = constant(Duration::from_secs(600));
    let (worker, function, busy) = TestWorker::with_instance(&model, "--shutdown-grace 50ms").await;
    let idle = worker.start_instance(&function).await.unwrap();
    let mut status = worker.listen("leaf").await;
    let call = tokio::spawn(call(worker.client.clone(), request(&function, &busy, b"")));
    let shared = worker.worker().clone();
    eventually("the call runs", || shared.usage().ram_bytes > 0).await;
    // Stop waits for the call, which the shutdown aborts.
    let stopping = busy.clone();
    let mut client = worker.client.clone();
    let stop = tokio::spawn(async move {
        client.stop(hyperfake_proto::controller::common::InstanceId { id: stopping }).await
    });
    let clock = hyperfake_worker::clock::precise::start();
    let is_stopping = || {
        let instances = shared.instances(clock.now());
        instances.iter().any(|instance| instance.state(clock.now()) == InstanceState::Stopping)
    };
    eventually("the instance stops", is_stopping).await;
    worker.app.shut_down(pending()).await;
    let mut ends = Vec::new();
    while let Ok(Some(update)) = status.message().await {
        if ![Event::Call, Event::Response].contains(&update.event()) {
            ends.push((update.event(), update.instance_id.unwrap().id));
        }
    }
    ends.sort_by_key(|(event, _)| *event as i32);
    assert_eq!(ends, [(Event::Down, idle), (Event::Stop, busy)]);
    assert!(call.await.unwrap().is_err());
    let _ = stop.await;
}

#[tokio::test]
async fn calls_are_aborted_after_the_grace_period() {
    let model = constant(Duration::from_secs(600));
    let (worker, function, _) = TestWorker::with_instance(&model, "--shutdown-grace 50ms").await;
    let running = tokio::spawn(call(worker.client.clone(), request(&function, &function, b"")));
    let shared = worker.worker().clone();
    eventually("the call runs", || shared.usage().ram_bytes > 0).await;
    worker.app.shut_down(pending()).await;
    assert!(running.await.unwrap().is_err(), "the call was not aborted");
}

#[tokio::test]
async fn second_signal_aborts_calls_at_once() {
    let model = constant(Duration::from_secs(600));
    let (worker, function, _) = TestWorker::with_instance(&model, "--shutdown-grace 1h").await;
    let running = tokio::spawn(call(worker.client.clone(), request(&function, &function, b"")));
    let shared = worker.worker().clone();
    eventually("the call runs", || shared.usage().ram_bytes > 0).await;
    worker.app.shut_down(async {}).await;
    assert!(running.await.unwrap().is_err(), "the call was not aborted");
}
