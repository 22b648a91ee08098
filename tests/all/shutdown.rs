//! The end of a worker.

use std::{future::pending, time::Duration};

use hyperfake_proto::controller::Event;
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{TestWorker, call, channel, constant, eventually, request};

#[tokio::test]
async fn calls_may_finish_while_new_ones_are_refused_and_health_says_so() {
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
async fn after_the_grace_period_calls_are_cut_off() {
    let model = constant(Duration::from_secs(600));
    let (worker, function, _) = TestWorker::with_instance(&model, "--shutdown-grace 50ms").await;
    let running = tokio::spawn(call(worker.client.clone(), request(&function, &function, b"")));
    let shared = worker.worker().clone();
    eventually("the call runs", || shared.usage().ram_bytes > 0).await;
    worker.app.shut_down(pending()).await;
    // The process ends here; in this test its threads go on until the client leaves.
    running.abort();
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_the_grace_period() {
    let model = constant(Duration::from_secs(600));
    let (worker, function, _) = TestWorker::with_instance(&model, "--shutdown-grace 1h").await;
    let running = tokio::spawn(call(worker.client.clone(), request(&function, &function, b"")));
    let shared = worker.worker().clone();
    eventually("the call runs", || shared.usage().ram_bytes > 0).await;
    worker.app.shut_down(async {}).await;
    running.abort();
}
