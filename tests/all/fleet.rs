//! Many workers in one process, and many connections to one worker.

use std::{collections::HashSet, net::SocketAddr, time::Duration};

use hyperfake_proto::controller::{
    MetricsRequest, StatusRequest,
    common::{FunctionId, InstanceId},
    controller_client::ControllerClient,
};
use hyperfake_worker::{app::App, clock::precise::now, worker::InstanceState};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    TestWorker, call, channel_to, code, config, constant, eventually, repository, request,
};

/// A client of each worker.
async fn clients(worker: &TestWorker) -> Vec<ControllerClient<Channel>> {
    let mut clients = Vec::new();
    for address in worker.app.addresses() {
        clients.push(ControllerClient::new(channel_to(*address).await));
    }
    clients
}

async fn start(client: &ControllerClient<Channel>, function: &str) -> String {
    let started = client.clone().start(FunctionId { id: function.into() }).await.unwrap();
    started.into_inner().instance_id.unwrap().id
}

#[tokio::test]
async fn workers_of_a_fleet_share_only_their_models() {
    let long = constant(Duration::from_secs(600));
    let models = [("long", long.as_str()), ("short", &constant(Duration::from_millis(1)))];
    let worker = TestWorker::start(&models, "--fleet 3 --max-rpcs 1").await;
    let clients = clients(&worker).await;
    assert_eq!(clients.len(), 3);
    assert_eq!(worker.app.addresses().iter().collect::<HashSet<_>>().len(), 3);
    let (long, short) = (worker.register("long").await, worker.register("short").await);

    // A function that was started on the first worker is unknown to the second.
    start(&clients[0], &long).await;
    let unknown = call(clients[1].clone(), request(&long, &long, b"")).await;
    assert_eq!(code(unknown), Code::NotFound);

    // The first worker is full; the others accept calls, hold nothing and have their own listeners.
    let running = tokio::spawn(call(clients[0].clone(), request(&long, &long, b"")));
    let workers = worker.app.workers();
    eventually("the call runs", || workers[0].usage().ram_bytes > 0).await;
    let full = call(clients[0].clone(), request(&long, &long, b"")).await;
    assert_eq!(code(full), Code::ResourceExhausted);
    for client in &clients[1..] {
        let used = client.clone().metrics(MetricsRequest::default()).await.unwrap().into_inner();
        assert_eq!(used.used_ram_percent, 0.0);
        let listening = StatusRequest { node_id: "leaf".into() };
        let mut events = client.clone().status(listening).await.unwrap().into_inner();
        let instance = start(client, &short).await;
        let answer = call(client.clone(), request(&short, &short, b"")).await.unwrap();
        assert_eq!(answer.response.instance_id.unwrap().id, instance);
        client.clone().stop(InstanceId { id: instance.clone() }).await.unwrap();
        for _ in ["START", "RUNNING", "CALL", "RESPONSE", "STOP"] {
            let event = events.message().await.unwrap().unwrap();
            assert_eq!(event.instance_id.unwrap().id, instance);
        }
    }
    let now = now();
    let states = workers.iter().map(|worker| {
        worker.instances(now).iter().map(|instance| instance.state(now)).collect::<Vec<_>>()
    });
    let stopped = vec![InstanceState::Stopped];
    assert_eq!(states.collect::<Vec<_>>(), [vec![InstanceState::Busy], stopped.clone(), stopped]);
    running.abort();
}

#[tokio::test]
async fn workers_of_a_fleet_report_health_and_shut_down_together() {
    let model = constant(Duration::from_millis(300));
    let worker = TestWorker::start(&[("image", &model)], "--fleet 3").await;
    let function = worker.register("image").await;
    let mut calls = Vec::new();
    for client in clients(&worker).await {
        start(&client, &function).await;
        calls.push(tokio::spawn(call(client, request(&function, &function, b""))));
    }
    let mut watches = Vec::new();
    for address in worker.app.addresses() {
        let request = HealthCheckRequest { service: "worker".into() };
        let mut health = HealthClient::new(channel_to(*address).await);
        watches.push(health.watch(request).await.unwrap().into_inner());
    }
    for watch in &mut watches {
        assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    }
    for shared in worker.app.workers() {
        eventually("a call runs", || shared.usage().ram_bytes > 0).await;
    }
    let addresses = worker.app.addresses().to_vec();
    let app = worker.app;
    let ending = tokio::spawn(app.shut_down(std::future::pending()));
    for watch in &mut watches {
        assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(ending.await.unwrap().count(), 3);
    for address in addresses {
        assert!(TcpStream::connect(address).await.is_err(), "{address} still accepts");
    }
}

/// A line of options for a fleet of three, and its addresses.
async fn fleet_of_three() -> (String, Vec<SocketAddr>) {
    // An address at which no other test is given a port, and the system assigns other ports for a while
    // after these were freed.
    let free = TcpListener::bind("127.8.7.6:0").await.unwrap();
    let first = free.local_addr().unwrap().port().min(u16::MAX - 2);
    let addresses = (first..=first + 2).map(|port| ([127, 8, 7, 6], port).into()).collect();
    let models = repository("models");
    let line = format!(
        "--database-type embedded --database-address http://127.0.0.1:0 --models-dir {} \
         --address 127.8.7.6:{first} --fleet 3",
        models.display()
    );
    (line, addresses)
}

#[tokio::test]
async fn all_addresses_in_use_are_reported_and_no_worker_starts() {
    let (line, addresses) = fleet_of_three().await;
    let taken = TcpListener::bind(addresses[1]).await;
    let also = TcpListener::bind(addresses[2]).await;
    let error = App::start(config(&line)).await.unwrap_err().to_string();
    let (second, third) = (addresses[1], addresses[2]);
    assert!(error.contains(&format!("cannot serve on {second}, {third}: ")), "{error}");
    assert!(error.starts_with("--address: "), "{error}");
    assert!(TcpStream::connect(addresses[0]).await.is_err(), "one worker serves");
    drop((taken, also));
}

#[tokio::test]
#[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this machine
async fn fleet_serves_on_every_address_of_a_range() {
    let free = TcpListener::bind("127.1.0.1:0").await.unwrap().local_addr().unwrap();
    let line = format!(
        "--database-type embedded --database-address http://127.0.0.1:0 --models-dir {} \
         --address 127.0.0.1:{} --fleet-addresses 127.1.0.0/30",
        repository("models").display(),
        free.port()
    );
    let app = App::start(config(&line)).await.unwrap();
    let expected = [1, 2].map(|host| SocketAddr::from(([127, 1, 0, host], free.port())));
    assert_eq!(app.addresses(), expected);
    for address in expected {
        let mut health = HealthClient::new(channel_to(address).await);
        let request = HealthCheckRequest { service: "worker".into() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 1);
    }
}

#[tokio::test]
async fn staggered_workers_start_one_after_the_other() {
    let (line, addresses) = fleet_of_three().await;
    let app = App::start(config(&format!("{line} --fleet-stagger 1s"))).await.unwrap();
    TcpStream::connect(addresses[0]).await.unwrap();
    assert!(TcpStream::connect(addresses[2]).await.is_err(), "the last worker has started already");
    let began = now();
    accepts(addresses[2]).await;
    TcpStream::connect(addresses[1]).await.unwrap();
    assert!(now() - began > Duration::from_secs(1), "the last worker started early");
    let [first, .., last] = &*addresses else { unreachable!() };
    let summary = app.summary();
    let expected = format!("serving 3 workers on {first} to {last}, one after the other every 1 s");
    assert!(summary.contains(&expected), "{summary}");
}

async fn accepts(address: SocketAddr) {
    while TcpStream::connect(address).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connection_above_max_connections_is_closed() {
    let model = constant(Duration::from_millis(1));
    let worker = TestWorker::start(&[("image", &model)], "--fleet 2 --max-connections 2").await;
    let function = worker.register("image").await;
    worker.start_instance(&function).await.unwrap();
    let [first, second] = worker.app.addresses() else { panic!("expected two workers") };

    // One of the two is the client's own.
    let other = TcpStream::connect(first).await.unwrap();
    let mut refused = TcpStream::connect(first).await.unwrap();
    let mut nothing = Vec::new();
    let _ = refused.read_to_end(&mut nothing).await;
    assert_eq!(nothing, b"", "a rejected connection got data");
    worker.call(&function, b"").await.unwrap();
    ControllerClient::new(channel_to(*second).await)
        .metrics(MetricsRequest::default())
        .await
        .unwrap();

    drop(other);
    loop {
        let mut health = HealthClient::new(channel_to(*first).await);
        if health.check(HealthCheckRequest::default()).await.is_ok() {
            return;
        }
    }
}
