//! The service `controller.Controller`, called as a leaf calls it.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use hyperfake_proto::controller::{MetricsRequest, common::InstanceId};
use prost::Message;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::support::{TestWorker, channel, code, constant, framed, raw, request};

const MS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn call_takes_the_predicted_time_and_reports_it_in_trailers() {
    let (worker, function, instance) = TestWorker::with_instance(&constant(20 * MS), "").await;
    let answer = worker.call(&function, b"hello").await.unwrap();
    assert_eq!(answer.response.request_id, 42);
    assert_eq!(answer.response.instance_id.unwrap().id, instance);
    assert_eq!(answer.response.data.len(), 10);
    assert_eq!(answer.response.error, None);
    assert_eq!(answer.trailers.runtime, 20 * MS);
    assert_eq!(answer.trailers.cpu_cores, Some(0.5));
    assert_eq!(answer.trailers.ram_bytes, Some(8_000_000));
    assert_eq!(answer.metadata.get("functionprocessingtime").unwrap(), "20000000");
    assert!(answer.trailers.took() >= 20 * MS, "ended after {:?}", answer.trailers.took());
    let year_2020 = Duration::from_secs(1_577_836_800);
    assert!(answer.trailers.queued_at > year_2020);
}

#[tokio::test]
async fn unknown_ids_and_images_are_not_found() {
    let worker = TestWorker::start(&[("image:1", &constant(MS))], "").await;
    assert_eq!(code(worker.stop_instance("0123456789ab").await), Code::NotFound);
    assert_eq!(code(worker.stop_instance("no id at all").await), Code::NotFound);
    assert_eq!(code(worker.call("nobody", b"").await), Code::NotFound);
    assert_eq!(code(worker.start_instance("nobody").await), Code::NotFound);
    let function = worker.register("other:latest").await;
    let status = worker.start_instance(&function).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("image 'other:latest'; available: image:1"), "{status}");
    // A known function without an instance.
    let function = worker.register("image:1").await;
    let instance = worker.start_instance(&function).await.unwrap();
    worker.stop_instance(&instance).await.unwrap();
    assert_eq!(code(worker.call(&function, b"").await), Code::NotFound);
    assert_eq!(code(worker.stop_instance(&instance).await), Code::NotFound);
}

#[tokio::test]
async fn calls_rotate_over_instances_unless_one_is_named() {
    let (worker, function, first) = TestWorker::with_instance(&constant(Duration::ZERO), "").await;
    let second = worker.start_instance(&function).await.unwrap();
    let mut served = HashMap::<String, u32>::new();
    for _ in 0..10 {
        let answer = worker.call(&function, b"").await.unwrap();
        *served.entry(answer.response.instance_id.unwrap().id).or_default() += 1;
    }
    assert_eq!(served, HashMap::from([(first.clone(), 5), (second.clone(), 5)]));
    for _ in 0..3 {
        let answer = worker.call_on(&function, &second, b"").await.unwrap();
        assert_eq!(answer.response.instance_id.unwrap().id, second);
    }
    // The instance of another function is ignored.
    let other = worker.register("image").await;
    let foreign = worker.start_instance(&other).await.unwrap();
    let answer = worker.call_on(&function, &foreign, b"").await.unwrap();
    assert_ne!(answer.response.instance_id.unwrap().id, foreign);
}

#[tokio::test]
async fn function_id_in_the_instance_field_is_enough() {
    let (worker, function, _) = TestWorker::with_instance(&constant(Duration::ZERO), "").await;
    let mut request = request("", &function, b"");
    assert!(crate::support::call(worker.client.clone(), request.clone()).await.is_ok());
    request.function_id = None;
    assert!(crate::support::call(worker.client.clone(), request).await.is_ok());
}

/// A model whose prediction reveals the features.
const REVEALS_FEATURES: &str = r#"{
    "kind": "linear",
    "runtime_ns": {"intercept": 2000000000},
    "cpu_cores": {"active_calls": 1},
    "ram_bytes": {"request_bytes": 1, "function_instances": 1000000}
}"#;

#[tokio::test]
async fn each_concurrent_call_sees_a_different_number_of_active_calls() {
    let (worker, function, _) = TestWorker::with_instance(REVEALS_FEATURES, "").await;
    worker.start_instance(&function).await.unwrap();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let request = request(&function, &function, b"12345");
            tokio::spawn(crate::support::call(worker.client.clone(), request))
        })
        .collect();
    let mut active = BTreeSet::new();
    for call in calls {
        let trailers = call.await.unwrap().unwrap().trailers;
        assert_eq!(trailers.ram_bytes, Some(2_000_005));
        active.insert(trailers.cpu_cores.unwrap() as u32);
    }
    // All calls overlap, so each one sees one more than the one before.
    assert_eq!(active, (0..100).collect());
    worker.is_idle().await;
}

#[tokio::test]
async fn running_calls_hold_their_predicted_resources() {
    let model = r#"{"kind": "linear", "runtime_ns": {"intercept": 3000000000},
        "cpu_cores": {"intercept": 0.25, "worker_cpu_cores": 1},
        "ram_bytes": {"intercept": 1000, "worker_ram_bytes": 1}}"#;
    let (worker, function, _) = TestWorker::with_instance(model, "").await;
    let mut calls = Vec::new();
    for before in [(0.25, 1000), (0.75, 3000), (1.75, 7000)] {
        let request = request(&function, &function, b"");
        calls.push(tokio::spawn(crate::support::call(worker.client.clone(), request)));
        let held = calls.len();
        let counted = || worker.worker().usage().cpu_cores >= before.0;
        crate::support::eventually(&format!("{held} calls hold their CPU"), counted).await;
        let usage = worker.worker().usage();
        assert_eq!((usage.cpu_cores, usage.ram_bytes), before);
    }
    let metrics = worker.client.clone().metrics(MetricsRequest::default()).await.unwrap();
    let metrics = metrics.into_inner();
    assert_eq!(metrics.cpu_percent_percpu, [43.75; 4]);
    assert!((metrics.used_ram_percent - 100.0 * 7000.0 / 1e9).abs() < 1e-9);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    worker.is_idle().await;
    let metrics = worker.client.clone().metrics(MetricsRequest::default()).await.unwrap();
    assert_eq!(metrics.into_inner().used_ram_percent, 0.0);
}

#[tokio::test]
async fn call_above_max_rpcs_is_refused_while_others_continue() {
    let model = constant(2000 * MS);
    let (worker, function, _) = TestWorker::with_instance(&model, "--max-rpcs 2").await;
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let request = request(&function, &function, b"");
            tokio::spawn(crate::support::call(worker.client.clone(), request))
        })
        .collect();
    crate::support::eventually("two calls run", || worker.worker().usage().calls == 2).await;
    let status = worker.call(&function, b"").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status.message().contains("2 calls are running, the limit of calls at once"),
        "{status}"
    );
    for call in slow {
        call.await.unwrap().unwrap();
    }
    worker.call(&function, b"").await.unwrap();
}

#[tokio::test]
async fn deadline_ends_a_call_and_releases_its_resources() {
    let (worker, function, _) = TestWorker::with_instance(&constant(600_000 * MS), "").await;
    let mut request = tonic::Request::new(request(&function, &function, b""));
    request.set_timeout(50 * MS);
    crate::support::call(worker.client.clone(), request).await.unwrap_err();
    worker.is_idle().await;
}

#[tokio::test]
async fn missed_deadline_is_deadline_exceeded_on_every_method() {
    let (worker, function, instance) = TestWorker::with_instance(&constant(600_000 * MS), "").await;
    let call = request(&function, &function, b"").encode_to_vec();
    // Stop waits for the running call.
    let stop = InstanceId { id: instance }.encode_to_vec();
    let running = tokio::spawn(crate::support::call(
        worker.client.clone(),
        request(&function, &function, b""),
    ));
    crate::support::eventually("the call runs", || worker.worker().usage().calls == 1).await;
    for (method, message) in [("Call", call), ("Stop", stop)] {
        let headers = [("grpc-timeout", "20m")];
        let answer = raw(&worker, method, &headers, &framed(false, &message)).await;
        assert_eq!(answer.header("grpc-status"), Some("4"), "{method}: {answer:?}");
    }
    running.abort();
    worker.is_idle().await;
}

#[tokio::test]
async fn cancelled_call_releases_its_resources() {
    let (worker, function, _) = TestWorker::with_instance(&constant(600_000 * MS), "").await;
    let request = request(&function, &function, b"");
    let call = tokio::spawn(crate::support::call(worker.client.clone(), request));
    let holds = || worker.worker().usage().ram_bytes == 8_000_000;
    crate::support::eventually("the call holds its memory", holds).await;
    call.abort();
    worker.is_idle().await;
}

#[tokio::test]
async fn response_data_come_from_the_option_or_the_model() {
    let echo = constant(Duration::ZERO).replace('{', r#"{"response": "echo", "#);
    let plain = constant(Duration::ZERO);
    let models = [("echo", echo.as_str()), ("plain", plain.as_str())];
    for (option, expected) in [("random:7", 7), ("echo", 5), ("empty", 0)] {
        let worker = TestWorker::start(&models, &format!("--response {option}")).await;
        let function = worker.register("plain").await;
        worker.start_instance(&function).await.unwrap();
        let answer = worker.call(&function, b"12345").await.unwrap();
        assert_eq!(answer.response.data.len(), expected, "{option}");
        let function = worker.register("echo").await;
        worker.start_instance(&function).await.unwrap();
        let answer = worker.call(&function, b"12345").await.unwrap();
        assert_eq!(&answer.response.data[..], b"12345");
    }
}

#[tokio::test]
async fn function_with_a_fixed_response_always_returns_it() {
    let folder = tempfile::tempdir().unwrap();
    // Set in the model itself, as for the platform's example function; in the settings file beside
    // it; and after the model's path.
    let hello = constant(Duration::ZERO).replace('{', r#"{"response": "text:HELLO WORLD!", "#);
    for (name, json) in [("hello", &hello), ("beside", &hello), ("behind", &hello)] {
        std::fs::write(folder.path().join(format!("{name}.json")), json).unwrap();
    }
    let sidecar = folder.path().join("beside.json.settings");
    std::fs::write(sidecar, "response = text:a = b, c: d\n").unwrap();
    let bytes = folder.path().join("bytes");
    std::fs::write(&bytes, [0, 255, 10]).unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let options = format!(
        "-m {} hello -m {} beside -m {}?response=file:{} behind --response hex:00ff0a0d",
        path("hello.json"),
        path("beside.json"),
        path("behind.json"),
        bytes.display()
    );
    let worker = TestWorker::start(&[("plain", &constant(Duration::ZERO))], &options).await;
    // The file is read only at the start.
    std::fs::remove_file(bytes).unwrap();
    for (image, expected) in [
        ("hello", &b"HELLO WORLD!"[..]),
        ("beside", b"a = b, c: d"),
        ("behind", &[0, 255, 10]),
        ("plain", &[0, 255, 10, 13]),
    ] {
        let function = worker.register(image).await;
        worker.start_instance(&function).await.unwrap();
        for request in [&b""[..], b"other"] {
            let answer = worker.call(&function, request).await.unwrap();
            assert_eq!(answer.response.data, expected, "{image}");
        }
    }
}

#[tokio::test]
async fn prediction_out_of_bounds_is_limited_and_counted() {
    let model = r#"{"kind": "linear", "runtime_ns": {"intercept": 1e18},
        "cpu_cores": {"intercept": -3}, "ram_bytes": {"intercept": 5}}"#;
    let (worker, function, _) = TestWorker::with_instance(model, "--max-runtime 5ms").await;
    for _ in 0..3 {
        let trailers = worker.call(&function, b"").await.unwrap().trailers;
        assert_eq!((trailers.runtime, trailers.cpu_cores), (5 * MS, Some(0.0)));
    }
    assert_eq!(worker.worker().catalog().models()[0].corrections(), 3);
}

#[tokio::test]
async fn health_knows_the_worker_the_service_and_the_empty_name() {
    let worker = TestWorker::start(&[("image", &constant(MS))], "").await;
    let mut health = HealthClient::new(channel(&worker.app).await);
    for service in ["worker", "controller.Controller", ""] {
        let request = HealthCheckRequest { service: service.into() };
        let response = health.check(request).await.unwrap().into_inner();
        assert_eq!(response.status(), ServingStatus::Serving, "{service}");
    }
    let request = HealthCheckRequest { service: "other".into() };
    assert_eq!(code(health.check(request).await), Code::NotFound);
}

#[tokio::test]
async fn health_watch_of_an_unknown_name_stays_open() {
    let worker = TestWorker::start(&[("image", &constant(MS))], "").await;
    let mut health = HealthClient::new(channel(&worker.app).await);
    let mut watch = async |service: &str| {
        let request = HealthCheckRequest { service: service.into() };
        health.watch(request).await.unwrap().into_inner()
    };
    let (mut known, mut unknown) = (watch("controller.Controller").await, watch("other").await);
    let state = |response: Option<HealthCheckResponse>| response.map(|response| response.status());
    assert_eq!(state(known.message().await.unwrap()), Some(ServingStatus::Serving));
    assert_eq!(state(unknown.message().await.unwrap()), Some(ServingStatus::ServiceUnknown));
    // The worker stops: the known name reports it, and both streams end only then.
    let stopping = tokio::spawn(worker.app.shut_down(std::future::pending()));
    assert_eq!(state(known.message().await.unwrap()), Some(ServingStatus::NotServing));
    assert_eq!(state(known.message().await.unwrap()), None);
    assert_eq!(state(unknown.message().await.unwrap()), None);
    stopping.await.unwrap();
}

#[tokio::test]
async fn reflection_lists_the_service() {
    let worker = TestWorker::start(&[("image", &constant(MS))], "").await;
    let mut client = ServerReflectionClient::new(channel(&worker.app).await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut stream =
        client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let response = stream.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = response else { panic!("{response:?}") };
    let names: BTreeSet<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains("controller.Controller"), "{names:?}");
    assert!(names.contains("grpc.health.v1.Health"), "{names:?}");
}

#[tokio::test]
async fn image_matches_with_its_tag_first_and_then_without() {
    let (any, one) = (constant(Duration::ZERO), constant(MS));
    let models = [("registry:5000/team/img", any.as_str()), ("registry:5000/team/img:1", &one)];
    let worker = TestWorker::start(&models, "").await;
    for (image, expected) in [
        ("registry:5000/team/img:1", MS),
        ("registry:5000/team/img:1@sha256:00ff", MS),
        ("registry:5000/team/img:2", Duration::ZERO),
        ("registry:5000/team/img", Duration::ZERO),
        ("registry:5000/team/img@sha256:00ff", Duration::ZERO),
    ] {
        let function = worker.register(image).await;
        worker.start_instance(&function).await.unwrap();
        let trailers = worker.call(&function, b"").await.unwrap().trailers;
        assert_eq!(trailers.runtime, expected, "{image}");
    }
    let function = worker.register("team/img:1").await;
    assert_eq!(code(worker.start_instance(&function).await), Code::NotFound);
}

#[tokio::test]
async fn client_delays_calls_above_max_streams() {
    let model = constant(300 * MS);
    let (worker, function, _) = TestWorker::with_instance(&model, "--max-streams 1").await;
    let calls = [(); 2].map(|()| {
        let request = request(&function, &function, b"");
        tokio::spawn(crate::support::call(worker.client.clone(), request))
    });
    let mut times = Vec::new();
    for call in calls {
        let trailers = call.await.unwrap().unwrap().trailers;
        times.push((trailers.queued_at, trailers.responded_at));
    }
    times.sort_unstable();
    assert!(times[1].0 >= times[0].1, "both calls ran at the same time: {times:?}");
}
