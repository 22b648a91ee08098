//! Invalid input is refused with one clear line, and other clients are served.

use std::{path::Path, time::Duration};

use hyperfake_predictor_testkit::onnx::{Dim, Model};
use hyperfake_proto::controller::Event;
use hyperfake_worker::{app::App, functions::StoreKind};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tonic::Code;

use crate::support::{TestWorker, code, config, constant, deaf_port, request, try_config};

/// The error that a worker with this model file does not start with.
async fn refusal(path: &Path) -> String {
    let line = format!(
        "--address 127.0.0.1:0 --database-type embedded --database-address http://127.0.0.1:0 \
         -m {}",
        path.display()
    );
    let error = App::start(config(&line)).await.expect_err("the model was taken").to_string();
    assert!(error.contains(&*path.file_name().unwrap().to_string_lossy()), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

fn network() -> Model {
    Model::new()
        .input("input", &[Dim::Fixed(1), Dim::Fixed(5)])
        .initializer("weight", &[5, 3], &[1.0f32; 15])
        .node("MatMul", &["input", "weight"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), Dim::Fixed(3)])
}

#[tokio::test]
async fn a_model_file_that_cannot_be_served_stops_the_start_with_one_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let whole = network().to_bytes();
    let two_inputs = network().input("second", &[Dim::Fixed(1), Dim::Fixed(5)]);
    let seven = Model::new()
        .input("input", &[Dim::Fixed(1), Dim::Fixed(5)])
        .initializer("weight", &[5, 7], &[1.0f32; 35])
        .node("MatMul", &["input", "weight"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), Dim::Fixed(7)]);
    let unsupported = Model::new()
        .input("input", &[Dim::Fixed(1), Dim::Fixed(5)])
        .node("Telepathy", &["input"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), Dim::Fixed(3)]);
    let external = Model::new()
        .input("input", &[Dim::Fixed(1), Dim::Fixed(5)])
        .external_initializer("weight", &[5, 3], "weights.bin")
        .node("MatMul", &["input", "weight"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), Dim::Fixed(3)]);
    let deep = "[".repeat(1_000_000);
    for (name, bytes, expected) in [
        ("empty.onnx", &b""[..], "empty"),
        ("truncated.onnx", &whole[..whole.len() / 2], ""),
        ("text.onnx", b"this is no model", ""),
        ("two.onnx", &two_inputs.to_bytes(), "2 inputs"),
        ("seven.onnx", &seven.to_bytes(), "7"),
        ("operator.onnx", &unsupported.to_bytes(), "Telepathy"),
        ("external.onnx", &external.to_bytes(), "weights.bin"),
        ("empty.json", b"", "empty"),
        ("truncated.json", b"{\"kind\": \"constant\",\n", "line 2"),
        ("text.json", b"\x00\x01\x02", "line 1"),
        ("list.json", b"[1, 2]", "found a list"),
        ("bom.json", b"\xef\xbb\xbf{}", "byte order mark"),
        ("deep.json", deep.as_bytes(), "line 1"),
        ("field.json", b"{\"kind\": \"constant\",\n\"runtime\": 1}", "runtime"),
        ("twice.json", b"{\"kind\": \"constant\",\n\"kind\": \"linear\"}", "'kind' is given twice"),
        ("nan.json", b"{\"kind\": \"constant\",\n\"runtime_ns\": NaN}", "line 2"),
        ("weights.pt", b"x", "'.pt', expected one of"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = refusal(&path).await;
        assert!(error.contains(expected), "{name}: {error}");
    }
    refusal(&folder.path().join("missing.onnx")).await;
    let huge = folder.path().join("huge.json");
    std::fs::File::create(&huge).unwrap().set_len(2 << 30).unwrap();
    assert!(refusal(&huge).await.contains("2147483648 bytes"));
}

#[tokio::test]
async fn with_skip_bad_models_the_rest_is_served() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.onnx"), "no model").unwrap();
    std::fs::write(folder.path().join("good.json"), constant(Duration::ZERO)).unwrap();
    let line = format!(
        "--address 127.0.0.1:0 --database-type embedded --database-address http://127.0.0.1:0 \
         --models-dir {}",
        folder.path().display()
    );
    assert!(App::start(config(&line)).await.is_err());
    let app = App::start(config(&format!("{line} --skip-bad-models"))).await.unwrap();
    assert_eq!(app.worker().catalog().models().len(), 1);
}

#[tokio::test]
async fn two_files_for_one_image_are_an_error_that_names_both() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("same.onnx"), network().to_bytes()).unwrap();
    std::fs::write(folder.path().join("same.json"), constant(Duration::ZERO)).unwrap();
    let line = format!("--address 127.0.0.1:0 --models-dir {}", folder.path().display());
    let error = App::start(config(&line)).await.unwrap_err().to_string();
    assert!(error.contains("same.json") && error.contains("same.onnx"), "{error}");
}

#[tokio::test]
async fn a_folder_without_models_and_a_missing_one_are_errors_that_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("--address 127.0.0.1:0 --models-dir {}", folder.path().display());
    let error = App::start(config(&line)).await.unwrap_err().to_string();
    assert!(error.contains("name one with -m"), "{error}");
    let error = App::start(config(&format!("{line}/none"))).await.unwrap_err().to_string();
    assert!(error.contains("--models-dir") && error.contains("none"), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_the_flag_and_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let line = format!("--address {address} --models-dir {}", models());
    let error = App::start(config(&line)).await.unwrap_err().to_string();
    assert!(error.contains("--address") && error.contains(&address.to_string()), "{error}");
    let line = format!(
        "--address 127.0.0.1:0 --database-type embedded --database-address http://{address} \
         --models-dir {}",
        models()
    );
    let error = App::start(config(&line)).await.unwrap_err().to_string();
    assert!(error.contains("--database-address"), "{error}");
    assert!(error.contains(&address.port().to_string()), "{error}");
}

fn models() -> String {
    crate::support::repository("models").display().to_string()
}

#[tokio::test]
async fn an_id_of_a_megabyte_is_refused_without_being_repeated() {
    let (worker, function, _) = TestWorker::with_instance(&constant(Duration::ZERO), "").await;
    let huge = "f".repeat(1 << 20);
    for status in [
        worker.start_instance(&huge).await.unwrap_err(),
        worker.stop_instance(&huge).await.unwrap_err(),
        worker.call(&huge, b"").await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().len() < 200, "{status}");
    }
    let node = hyperfake_proto::controller::StatusRequest { node_id: huge };
    assert_eq!(code(worker.client.clone().status(node).await), Code::InvalidArgument);
    worker.call(&function, b"").await.unwrap();
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_connection_stays_open() {
    let model = constant(Duration::ZERO);
    let (worker, function, _) = TestWorker::with_instance(&model, "--max-message-size 64KiB").await;
    let status = worker.call(&function, &vec![0; 100_000]).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().starts_with("--max-message-size: found 100"), "{status}");
    assert!(status.message().contains("65536"), "{status}");
    let start = worker.start_instance(&"x".repeat(100_000)).await.unwrap_err();
    assert_eq!(start.code(), Code::ResourceExhausted);
    assert!(start.message().starts_with("--max-message-size: found 100"), "{start}");
    worker.call(&function, &vec![0; 60_000]).await.unwrap();
}

#[tokio::test]
async fn a_message_that_has_arrived_is_not_counted_as_partial() {
    let model = constant(Duration::ZERO);
    let options = "--max-message-size 64KiB --max-partial-size 64KiB";
    let (worker, function, _) = TestWorker::with_instance(&model, options).await;
    for _ in 0..10 {
        worker.call(&function, &vec![0; 60_000]).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_without_http2_does_not_affect_other_clients() {
    let (worker, function, _) = TestWorker::with_instance(&constant(Duration::ZERO), "").await;
    let mut strangers = Vec::new();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", b"PRI * HTTP", b""] {
        let mut stranger = TcpStream::connect(worker.app.address()).await.unwrap();
        stranger.write_all(bytes).await.unwrap();
        strangers.push(stranger);
    }
    for _ in 0..10 {
        worker.call(&function, b"").await.unwrap();
    }
}

#[tokio::test]
async fn an_invalid_protobuf_message_is_refused_and_the_worker_continues() {
    let (worker, function, _) = TestWorker::with_instance(&constant(Duration::ZERO), "").await;
    // A function id that is not UTF-8: field 4, a message with field 1, one byte.
    let mut body = vec![0, 0, 0, 0, 5];
    body.extend([0x22, 3, 0x0a, 1, 0xff]);
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let response = client
        .post(format!("http://{}/controller.Controller/Call", worker.app.address()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["grpc-status"], "13");
    worker.call(&function, b"").await.unwrap();
}

#[tokio::test]
async fn a_registry_that_is_down_makes_start_unavailable_and_nothing_else_fails() {
    let (_socket, port) = deaf_port();
    let line = format!(
        "--address 127.0.0.1:0 --database-type http --database-address http://127.0.0.1:{port} \
         --runtime instant --models-dir {}",
        models()
    );
    let app = App::start(config(&line)).await.unwrap();
    let mut client = crate::support::connect(&app).await;
    let start = hyperfake_proto::controller::common::FunctionId { id: "f".into() };
    let status = client.start(start).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    // Where the store is, is not the client's concern: the log has it.
    let expected = "cannot look up the function 'f': the function registry does not answer as \
                    expected; the worker's log says more";
    assert_eq!(status.message(), expected);
    assert!(!format!("{status:?}").contains(&port.to_string()), "{status:?}");
    let metrics = hyperfake_proto::controller::MetricsRequest::default();
    client.metrics(metrics).await.unwrap();
    let call = crate::support::call(client, request("f", "f", b""));
    assert_eq!(code(call.await), Code::NotFound);
}

#[tokio::test]
async fn auto_uses_a_store_that_answers_and_otherwise_serves_one() {
    let first = TestWorker::start(&[("image", &constant(Duration::ZERO))], "").await;
    let line = format!(
        "--address 127.0.0.1:0 --database-address {} --etcd-listen off --runtime instant --models-dir {}",
        first.database,
        models()
    );
    let config = try_config(&line).unwrap();
    assert_eq!(config.places.kind, StoreKind::Auto);
    // The second worker finds the first one's registry, and so its functions.
    let second = App::start(config).await.unwrap();
    assert!(second.summary().contains("functions are looked up at"), "{}", second.summary());
    let function = first.register("hyperfaas-echo").await;
    let start = hyperfake_proto::controller::common::FunctionId { id: function };
    crate::support::connect(&second).await.start(start).await.unwrap();
    assert!(first.app.summary().contains("functions are registered here"));
}

#[tokio::test]
async fn a_timeout_at_the_limits_of_its_type_is_accepted() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], "").await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for timeout in [i64::MAX, i64::MIN, -1] {
        let json = format!(r#"{{"image_tag": "image", "config": {{"timeout": {timeout}}}}}"#);
        let answer = client.post(&worker.database).body(json).send().await.unwrap();
        let answer: serde_json::Value =
            serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let function = answer["function_id"].as_str().unwrap();
        let mut events = worker.listen("leaf").await;
        let instance = worker.start_instance(function).await.unwrap();
        worker.call(function, b"").await.unwrap();
        worker.stop_instance(&instance).await.unwrap();
        // The instance ended as usual: its last event arrives.
        while events.message().await.unwrap().unwrap().event() != Event::Stop {}
    }
}

#[tokio::test]
async fn a_cold_start_longer_than_the_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cold.json");
    let json = constant(Duration::ZERO).replace('{', r#"{"cold_start": "1000y", "#);
    std::fs::write(&path, json).unwrap();
    let error = refusal(&path).await;
    assert!(error.contains("cold_start") && error.contains("ten years"), "{error}");
}

#[tokio::test]
async fn hundreds_of_cancelled_calls_leave_the_connection_open() {
    let model = constant(Duration::from_secs(600));
    let (worker, function, _) = TestWorker::with_instance(&model, "--max-rpcs 0").await;
    let mut status = worker.listen("leaf").await;
    for _ in 0..5 {
        let calls: Vec<_> = (0..400)
            .map(|_| {
                let request = request(&function, &function, b"");
                tokio::spawn(crate::support::call(worker.client.clone(), request))
            })
            .collect();
        tokio::task::yield_now().await;
        for call in calls {
            call.abort();
        }
    }
    worker.is_idle().await;
    let instance = worker.start_instance(&function).await.unwrap();
    worker.stop_instance(&instance).await.unwrap();
    while status.message().await.unwrap().unwrap().event() != Event::Stop {}
}
