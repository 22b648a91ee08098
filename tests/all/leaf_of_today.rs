//! What a leaf of today does: it starts instances, calls them at their addresses, and stops them.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyperfake_proto::worker::{Event, MetricsRequest, SignalReadyRequest, StartResponse, Status};
use hyperfake_worker::app::App;
use parking_lot::Mutex;
use tonic::{Code, client::Grpc, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    support::{TestWorker, code, constant, eventually, repository, try_config},
    today::{Leaf, connect, connect_to, unary, until},
};

const MS: Duration = Duration::from_millis(1);

async fn worker(runtime: Duration, options: &str) -> (TestWorker, Leaf, String) {
    let worker = TestWorker::start(&[("image", &constant(runtime))], options).await;
    let leaf = Leaf::of(&worker).await;
    let function = worker.register("image:latest").await;
    (worker, leaf, function)
}

#[tokio::test]
async fn a_leaf_of_today_finds_what_it_relies_on() {
    let (worker, leaf, function) = worker(2 * MS, "--runtime docker --cold-start 30ms").await;
    let mut events = leaf.listen("leaf-1").await;
    let instance = leaf.start(&function).await.unwrap();
    let id = instance.instance_id.clone();
    assert_eq!(id.len(), 12);
    assert!(id.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert_eq!(instance.instance_internal_ip, instance.instance_external_ip);
    assert_eq!(instance.instance_name, format!("hyperfaas-imagelatest-{}", &id[4..]));

    let answer = unary(connect(&instance).await, "hello").await.unwrap();
    assert_eq!(answer.get_ref(), "", "an empty message is one of every type");
    for key in ["gotresponsetimestamp", "callqueuedtimestamp", "functionprocessingtime"] {
        answer.metadata().get(key).unwrap().to_str().unwrap().parse::<u64>().unwrap();
    }
    assert_eq!(answer.metadata().get("instanceid").unwrap(), &*id);

    assert_eq!(leaf.stop(&id).await.unwrap(), id);
    for expected in [Event::Start, Event::Running, Event::Call, Event::ResponseUnspecified] {
        let update = events.message().await.unwrap().unwrap();
        assert_eq!((update.event(), &update.instance_id), (expected, &id));
        assert_eq!((update.status(), &update.function_id), (Status::SuccessUnspecified, &function));
        assert!(update.timestamp.unwrap().seconds > 1_577_836_800);
    }
    assert_eq!(until(&mut events, Event::Stop).await.instance_id, id);

    // What is gone or never was is stopped without an error, and any id may be ready.
    for unknown in [&*id, "0123456789ab", "no id", ""] {
        assert_eq!(leaf.stop(unknown).await.unwrap(), unknown);
        let ready = SignalReadyRequest { instance_id: unknown.into() };
        leaf.0.clone().signal_ready(ready).await.unwrap();
    }
    let used = leaf.0.clone().metrics(MetricsRequest::default()).await.unwrap().into_inner();
    assert_eq!((used.used_ram_percent, used.cpu_percent_percpus), (0.0, vec![0.0; 4]));
    assert_eq!(code(leaf.start("nobody").await), Code::NotFound);
    drop(worker);
}

#[tokio::test]
async fn health_and_reflection_know_both_apis_on_one_port() {
    let (worker, _leaf, _function) = worker(MS, "").await;
    let channel = crate::support::channel(&worker.app).await;
    for service in ["", "worker", "controller.Controller", "worker.Worker"] {
        let request = HealthCheckRequest { service: service.into() };
        let answer = HealthClient::new(channel.clone()).check(request).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{service}");
    }
    for symbol in ["worker.Worker", "worker.StartResponse", "controller.Controller"] {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::FileContainingSymbol(symbol.into())),
        };
        let mut client = ServerReflectionClient::new(channel.clone());
        let requests = tokio_stream::iter([request]);
        let mut answers = client.server_reflection_info(requests).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
    }
}

#[tokio::test]
async fn metrics_are_percents_of_what_is_simulated() {
    let (_worker, leaf, function) = worker(Duration::from_secs(600), "").await;
    let instance = leaf.start(&function).await.unwrap();
    let call = tokio::spawn(unary(connect(&instance).await, ""));
    loop {
        let used = leaf.0.clone().metrics(MetricsRequest::default()).await.unwrap().into_inner();
        if used.used_ram_percent > 0.0 {
            // 8 MB of 1 GB, and half a core of four.
            assert!((used.used_ram_percent - 0.8).abs() < 1e-9, "{used:?}");
            assert_eq!(used.cpu_percent_percpus, vec![12.5; 4]);
            break;
        }
    }
    call.abort();
}

#[tokio::test]
async fn fifteen_hundred_calls_run_at_once_on_one_connection() {
    let (worker, leaf, function) = worker(500 * MS, "").await;
    let instance = leaf.start(&function).await.unwrap();
    let client = connect(&instance).await;
    let calls: Vec<_> = (0..1500).map(|_| tokio::spawn(unary(client.clone(), ""))).collect();
    let most = AtomicUsize::new(0);
    eventually("all of them run at once", || {
        most.fetch_max(worker.worker().usage().calls, Ordering::Relaxed);
        most.load(Ordering::Relaxed) == 1500
    })
    .await;
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_function_scales_out_to_zero_and_back() {
    let (worker, leaf, function) = worker(Duration::ZERO, "").await;
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let mut live = Vec::new();
        for _ in 0..4 {
            let instance = leaf.start(&function).await.unwrap();
            let answer = unary(connect(&instance).await, "").await.unwrap();
            let id = answer.metadata().get("instanceid").unwrap();
            assert_eq!(id, &*instance.instance_id);
            assert!(seen.insert(instance.instance_internal_ip.clone()), "an address was reused");
            live.push(instance);
        }
        for instance in &live {
            leaf.stop(&instance.instance_id).await.unwrap();
        }
        eventually("all have ended", || worker.worker().usage().instances == 0).await;
        // A client that still has the address is told, on a connection that is accepted.
        for instance in &live {
            let call = unary(connect(instance).await, "").await;
            assert_eq!(code(call), Code::Unavailable);
        }
    }
}

/// As a leaf balances functions of low concurrency: the first instance by its address.
#[derive(Default)]
struct FirstWithRoom(Mutex<Vec<(StartResponse, Grpc<Channel>)>>);

impl FirstWithRoom {
    async fn add(&self, instance: StartResponse) {
        let client = connect(&instance).await;
        let mut instances = self.0.lock();
        instances.push((instance, client));
        instances
            .sort_by(|one, other| one.0.instance_internal_ip.cmp(&other.0.instance_internal_ip));
    }

    fn first(&self) -> (StartResponse, Grpc<Channel>) {
        self.0.lock()[0].clone()
    }

    fn remove(&self, id: &str) {
        self.0.lock().retain(|(instance, _)| instance.instance_id != id);
    }
}

#[tokio::test]
async fn no_call_fails_while_instances_are_stopped() {
    let (_worker, leaf, function) = worker(MS, "").await;
    let instances = Arc::new(FirstWithRoom::default());
    for _ in 0..3 {
        instances.add(leaf.start(&function).await.unwrap()).await;
    }
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (instances, over) = (Arc::clone(&instances), Arc::clone(&over));
            tokio::spawn(async move {
                let mut calls = 0;
                while !over.load(Ordering::Relaxed) {
                    unary(instances.first().1, "").await.unwrap();
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    for _ in 0..25 {
        let (instance, _) = instances.first();
        // Calls go there until the answer is here, as in a leaf.
        leaf.stop(&instance.instance_id).await.unwrap();
        instances.remove(&instance.instance_id);
        instances.add(leaf.start(&function).await.unwrap()).await;
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        assert!(caller.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn events_of_a_gap_are_kept_for_the_node() {
    let (worker, leaf, function) = worker(MS, "").await;
    let events = leaf.listen("leaf").await;
    let instance = leaf.start(&function).await.unwrap();
    drop(events);
    leaf.stop(&instance.instance_id).await.unwrap();
    eventually("it has ended", || worker.worker().usage().instances == 0).await;
    let mut events = leaf.listen("leaf").await;
    let stopped = until(&mut events, Event::Stop).await;
    assert_eq!((stopped.instance_id, stopped.function_id), (instance.instance_id, function));
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing_behind() {
    let (worker, leaf, function) = worker(MS, "--runtime docker --cold-start 600s").await;
    let mut events = leaf.listen("leaf").await;
    let starting = tokio::spawn({
        let (leaf, function) = (leaf.clone(), function.clone());
        async move { leaf.start(&function).await }
    });
    let started = until(&mut events, Event::Start).await;
    starting.abort();
    assert_eq!(until(&mut events, Event::Stop).await.instance_id, started.instance_id);
    eventually("it has ended", || worker.worker().usage().instances == 0).await;
}

#[tokio::test]
async fn both_apis_show_the_same_instances() {
    let (worker, leaf, function) = worker(MS, "").await;
    let (mut of_2025, mut today) = (worker.listen("2025").await, leaf.listen("today").await);
    let instance = leaf.start(&function).await.unwrap();
    let answer = worker.call(&function, b"").await.unwrap();
    assert_eq!(answer.response.instance_id.unwrap().id, instance.instance_id);
    assert_eq!(until(&mut today, Event::ResponseUnspecified).await.function_id, function);
    for expected in ["Start", "Running", "Call", "Response"] {
        let update = of_2025.message().await.unwrap().unwrap();
        assert_eq!(format!("{:?}", update.event()), expected);
    }
    worker.stop_instance(&instance.instance_id).await.unwrap();
    assert_eq!(code(unary(connect(&instance).await, "").await), Code::Unavailable);

    let instance = worker.start_instance(&function).await.unwrap();
    assert_eq!(until(&mut today, Event::Running).await.instance_id, worker_id(&worker));
    leaf.stop(&instance).await.unwrap();
    assert_eq!(until(&mut today, Event::Stop).await.instance_id, instance);
    assert_eq!(code(worker.call(&function, b"").await), Code::NotFound);
}

/// The id of the only live instance.
fn worker_id(worker: &TestWorker) -> String {
    let now = hyperfake_worker::clock::precise::now();
    let instances = worker.worker().instances(now);
    let mut live = instances.iter().filter(|instance| !instance.is_stopped());
    live.next().unwrap().id.text()
}

#[tokio::test]
async fn a_worker_that_shuts_down_says_so_before_it_stops_serving() {
    let (worker, leaf, function) = worker(MS, "").await;
    let mut events = leaf.listen("leaf").await;
    let instance = leaf.start(&function).await.unwrap();
    let client = connect(&instance).await;
    unary(client.clone(), "").await.unwrap();
    let ending = tokio::spawn(worker.app.shut_down(std::future::pending()));
    let down = until(&mut events, Event::Down).await;
    assert_eq!((down.instance_id, down.function_id), (instance.instance_id, function));
    ending.await.unwrap();
    while let Some(update) = events.message().await.unwrap() {
        assert_ne!(update.event(), Event::Down, "it was told twice");
    }
    assert_eq!(code(unary(client, "").await), Code::Unavailable);
}

#[tokio::test]
#[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this machine
async fn a_worker_that_starts_again_serves_no_address_of_its_former_life() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let options = format!("--instance-addresses 127.99.0.0/16:{port}");
    let (first, leaf, function) = worker(MS, &options).await;
    let old = leaf.start(&function).await.unwrap();
    first.app.shut_down(std::future::ready(())).await;

    let (_second, leaf, function) = worker(MS, &options).await;
    let new = leaf.start(&function).await.unwrap();
    assert_ne!(old.instance_internal_ip, new.instance_internal_ip);
    assert_eq!(code(unary(connect(&old).await, "").await), Code::Unavailable);
    assert_eq!(leaf.stop(&old.instance_id).await.unwrap(), old.instance_id);
    unary(connect(&new).await, "").await.unwrap();
}

#[tokio::test]
async fn each_instance_has_a_port_where_addresses_cannot_be() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let first = free.local_addr().unwrap().port().min(u16::MAX - 7);
    drop(free);
    let options = format!("--instance-ports {first}-{} --advertise-host localhost", first + 7);
    let (worker, leaf, function) = worker(MS, &options).await;
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let instance = leaf.start(&function).await.unwrap();
        let (host, port) = instance.instance_external_ip.rsplit_once(':').unwrap();
        assert_eq!(host, "localhost");
        let address = format!("127.0.0.1:{port}");
        let answer = unary(connect_to(&address).await, "").await.unwrap();
        assert_eq!(answer.metadata().get("instanceid").unwrap(), &*instance.instance_id);
        leaf.stop(&instance.instance_id).await.unwrap();
        addresses.push(address);
    }
    assert_ne!(addresses[0], addresses[1]);
    eventually("both have ended", || worker.worker().usage().instances == 0).await;
    // A port that served once never refuses.
    for address in &addresses {
        assert_eq!(code(unary(connect_to(address).await, "").await), Code::Unavailable);
    }
}

#[tokio::test]
#[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this machine
async fn addresses_that_are_in_use_are_one_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let line = format!(
        "--database-type embedded --database-address http://127.0.0.1:0 --models-dir {} \
         --address 127.0.0.1:0 --instance-addresses 127.99.0.0/16:{port}",
        repository("models").display()
    );
    let error = App::start(try_config(&line).unwrap()).await.unwrap_err().to_string();
    let expected = "--instance-addresses: cannot serve instances on 127.99.0.0/16";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
#[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this machine
async fn a_start_without_a_free_address_is_refused_and_leaves_nothing_behind() {
    let (worker, leaf, function) = worker(MS, "--instance-addresses 127.99.0.0/30").await;
    let first = leaf.start(&function).await.unwrap();
    leaf.start(&function).await.unwrap();
    let refused = leaf.start(&function).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("all 2 addresses for instances are taken"), "{refused}");
    assert_eq!(worker.worker().usage().instances, 2);
    leaf.stop(&first.instance_id).await.unwrap();
    eventually("it has ended", || worker.worker().usage().instances == 1).await;
    let next = leaf.start(&function).await.unwrap();
    assert_eq!(next.instance_internal_ip, first.instance_internal_ip);
    unary(connect(&next).await, "").await.unwrap();
}

#[tokio::test]
async fn instances_of_a_fleet_share_their_addresses() {
    let worker = TestWorker::start(&[("image", &constant(MS))], "--fleet 3").await;
    let function = worker.register("image").await;
    let mut seen = HashSet::new();
    for (address, member) in worker.app.addresses().iter().zip(worker.app.workers()) {
        let channel = crate::support::channel_to(*address).await;
        let leaf = Leaf(hyperfake_proto::worker::worker_client::WorkerClient::new(channel));
        let instance = leaf.start(&function).await.unwrap();
        assert!(seen.insert(instance.instance_internal_ip.clone()));
        let answer = unary(connect(&instance).await, "").await.unwrap();
        assert_eq!(answer.metadata().get("instanceid").unwrap(), &*instance.instance_id);
        assert_eq!(member.usage().instances, 1);
    }
}

#[tokio::test]
async fn instances_of_a_life_that_was_killed_are_reported_down_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("state");
    let (killed, options) = (folder.path().join("killed"), "--seed 7 --fleet 2 --state-file");
    let first = format!("{options} {}", kept.display());
    let (first, leaf, function) = worker(MS, &first).await;
    let ended = leaf.start(&function).await.unwrap();
    let live = leaf.start(&function).await.unwrap();
    leaf.stop(&ended.instance_id).await.unwrap();
    eventually("it has ended", || first.worker().usage().instances == 1).await;
    // As it is at this moment, in which a process could be killed.
    std::fs::copy(&kept, &killed).unwrap();

    let (second, leaf, function) = worker(MS, &format!("{options} {}", killed.display())).await;
    let mut events = leaf.listen("leaf").await;
    let down = until(&mut events, Event::Down).await;
    assert_eq!((down.status(), down.instance_id), (Status::Failed, live.instance_id.clone()));
    assert_eq!(down.function_id, function, "the same seed gives the same ids");
    // The same seed gives its id again, which is then no longer reported.
    leaf.start(&function).await.unwrap();
    assert_eq!(leaf.start(&function).await.unwrap().instance_id, live.instance_id);
    let mut events = leaf.listen("another leaf").await;
    second.app.shut_down(std::future::ready(())).await;
    assert_eq!(until(&mut events, Event::Down).await.status(), Status::SuccessUnspecified);
}
