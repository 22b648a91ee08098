//! `hyperfake call` and `hyperfake load` through a leaf, and straight to an instance's address.

use std::{
    convert::Infallible,
    ffi::OsString,
    future::pending,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyperfake_predictor::Result;
use hyperfake_worker::{
    args::{Cli, Command},
    commands::{Output, call, load},
};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::{
    small_leaf::SmallLeaf,
    support::{TestWorker, constant, framed, repository},
    today::Leaf,
};

/// Runs `hyperfake call` or `load`.
async fn run(line: &str) -> Result<Output> {
    let words = std::iter::once("hyperfake").chain(line.split_whitespace()).map(OsString::from);
    match Cli::read(words).unwrap().command {
        Command::Call(args) => call::run(*args).await,
        Command::Load(args) => load::run(*args).await,
        other => panic!("{other:?}"),
    }
}

async fn json(line: &str) -> Value {
    let output = run(&format!("{line} --json")).await.unwrap();
    serde_json::from_str(&output.text).unwrap()
}

async fn error(line: &str) -> String {
    run(line).await.unwrap_err().to_string()
}

/// Options for calls of the greeter.
fn greeter() -> String {
    let proto = repository("models/functions/answers/greeter.proto");
    format!("--method examples.greeter.v1.Greeter/SayHello --proto {}", proto.display())
}

/// A worker with the platform's functions, and an etcd.
async fn worker() -> TestWorker {
    let models = repository("models/functions");
    let options = format!("--models-dir {} --etcd-listen 127.0.0.1:0", models.display());
    TestWorker::start(&[], &options).await
}

/// The id and the address of an instance of this image.
async fn instance(worker: &TestWorker, image: &str) -> (String, String) {
    let function = worker.register(image).await;
    let started = Leaf::of(worker).await.start(&function).await.unwrap();
    (started.instance_id, started.instance_internal_ip)
}

#[tokio::test]
async fn a_call_straight_to_an_instance_sends_json_and_shows_json() {
    let worker = worker().await;
    let (id, address) = instance(&worker, "hyperfaas-grpc-proxy-greeter").await;
    let line = format!("call --through {address} {}", greeter());
    let found = json(&format!(r#"{line} --json-body {{"name":"Ada"}}"#)).await;
    assert_eq!(found["answer"]["message"], "Hello, Ada!");
    assert_eq!((&found["instance_id"], &found["function_id"]), (&id.into(), &address.into()));
    assert!(found["predicted_ns"]["p50"].as_f64().unwrap() > 0.0, "{found}");
    assert!(found["difference_ns"]["p50"].as_f64().unwrap() > 0.0, "{found}");
    assert!(found.get("image").is_none() && found.get("cold_start_ns").is_none(), "{found}");

    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body.json");
    std::fs::write(&body, r#"{"name": "Ada Lovelace"}"#).unwrap();
    let output = run(&format!("{line} --json-body @{}", body.display())).await.unwrap();
    let expected = r#"answer      {"message":"Hello, Ada Lovelace!"}"#;
    assert!(output.succeeded && output.text.contains(expected), "{output:?}");

    // Several calls have numbers instead of an answer; without a body the message is empty.
    let found = json(&format!("{line} -n 20 --concurrency 4")).await;
    assert_eq!((&found["calls"], found.get("answer")), (&20.into(), None));
    // A file in a folder of --proto-path is a file of this folder.
    let path = repository("models/functions");
    let output = run(&format!("{line} --proto-path {}", path.display())).await.unwrap();
    assert!(output.text.contains("Hello, world!"), "{output:?}");
}

#[tokio::test]
async fn raw_bytes_are_sent_and_shown_as_they_are() {
    let model = constant(Duration::from_millis(2));
    let worker = TestWorker::start(&[("image", &model)], "--response echo").await;
    let (_, address) = instance(&worker, "image").await;
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body");
    std::fs::write(&body, [0x0a, 0xff, 0x00, 0x80]).unwrap();
    let line = format!("call --through {address} --method some.v1.Service/Method");
    let found = json(&format!("{line} --data-file {}", body.display())).await;
    assert_eq!(found["answer"], "hex:0aff0080");
    assert_eq!(found["predicted_ns"]["p50"], 2e6);
    let output = run(&format!("{line} --data text")).await.unwrap();
    assert!(output.text.contains("answer      hex:74657874"), "{output:?}");
    // What is not the answer's type is no answer.
    let line = format!("call --through {address} {} --data x", greeter());
    let expected = "the answer is no message of type examples.greeter.v1.HelloReply";
    let found = error(&line).await;
    assert!(found.starts_with(expected), "{found}");
}

#[tokio::test]
async fn an_image_is_registered_in_etcd_and_called_through_a_leaf_when_it_knows_it() {
    let worker = worker().await;
    let leaf = SmallLeaf::of(&worker).await;
    let etcd = worker.app.etcd_address().unwrap();
    let line = format!("--through {} --etcd-endpoint {etcd}", leaf.address);
    let greet = format!(r#"{} --json-body {{"name":"Ada"}}"#, greeter());
    let found = json(&format!("call hyperfaas-grpc-proxy-greeter {line} {greet}")).await;
    assert_eq!(found["answer"]["message"], "Hello, Ada!", "{found}");
    assert_eq!(found["image"], "hyperfaas-grpc-proxy-greeter");
    assert_eq!(found["instance_id"].as_str().unwrap().len(), 12);
    let id = found["function_id"].as_str().unwrap().to_owned();
    assert_eq!(leaf.functions(), std::slice::from_ref(&id));

    // The function is there to be called by its id, and a load calls it with others.
    let found = json(&format!("call --function {id} --through {} {greet}", leaf.address)).await;
    assert_eq!(found["answer"]["message"], "Hello, Ada!", "{found}");
    let rate = "--rate 100 --duration 200ms --connections 3 --threads 2";
    let images = "hyperfaas-grpc-proxy-greeter,hyperfaas-grpc-proxy-greeter";
    let found = json(&format!("load --functions {images} {rate} {line} {greet}")).await;
    assert_eq!(leaf.functions().len(), 3);
    for function in found["functions"].as_array().unwrap() {
        assert_eq!((&function["answered"], &function["early"]), (&10.into(), &0.into()), "{found}");
        assert_eq!(function["image"], "hyperfaas-grpc-proxy-greeter");
        assert!(leaf.functions().contains(&function["function_id"].as_str().unwrap().to_owned()));
        assert!(function["cold_start_ns"].as_u64().unwrap() > 0, "{found}");
        assert!(function["timing_error_ns"]["p50"].as_u64().unwrap() > 0, "{found}");
    }

    // Nobody has registered these.
    let line = format!("--function nobody --through {} {greet}", leaf.address);
    let output = run(&format!("call {line}")).await.unwrap();
    let expected = "1 x NotFound: function nobody not found in control plane";
    assert!(output.text.contains(expected) && !output.succeeded, "{output:?}");
    let expected = "the leaf or instance refused a first call: NotFound: function nobody not found";
    let found = error(&format!("load {line}")).await;
    assert!(found.starts_with(expected), "{found}");
}

#[tokio::test]
async fn what_cannot_be_called_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.proto");
    std::fs::write(&broken, "syntax = \"proto3\"; message A { Missing a = 1; }").unwrap();
    // Nobody is there: all of these are known before that is noticed.
    let through = "call --through 127.0.0.1:1";
    let greeter = greeter();
    let sleep = repository("models/functions/answers/sleep.proto");
    for (line, expected) in [
        (format!("{through} --method Sleep"), "--method: found 'Sleep', expected package.Service/"),
        (
            format!("{through} --method a.B/C --proto {}", sleep.display()),
            "--method: the schema has no method 'a.B/C'; there are: examples.sleep.v1.Sleep/Sleep",
        ),
        (format!("{through} --method a.B/C --proto nowhere.proto"), "--proto: nowhere.proto: "),
        (format!("{through} --method a.B/C --proto {}", broken.display()), "--proto: "),
        (
            format!(r#"{through} {greeter} --json-body {{"nme":"Ada"}}"#),
            "--json-body: this is no examples.greeter.v1.HelloRequest: unrecognized field name 'nme'",
        ),
        (
            format!(r#"{through} {greeter} --json-body {{"name":5}}"#),
            "--json-body: name: this is no",
        ),
        (format!("{through} {greeter} --json-body @nowhere.json"), "--json-body: nowhere.json: "),
        (format!("{through} {greeter} --data-file nowhere"), "--data-file nowhere: cannot read"),
        (format!("{through} {greeter}"), "--through: no leaf or instance answers at 127.0.0.1:1: "),
        (
            format!("{through} {greeter} --tls-server-name a"),
            "--through: found '127.0.0.1:1', expected https:// in front of it for --tls-server-name",
        ),
        (
            "load --threads 3 --connections 2".into(),
            "--threads: found 3, expected at most --connections, which is 2",
        ),
    ] {
        let found = error(&line).await;
        assert!(found.starts_with(expected) && !found.contains('\n'), "{line}: {found}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for (line, expected) in [
        (format!("{greeter} --function a,b"), "--function: found 2 ids, expected one"),
        (format!("{greeter} --function a/b"), "--function: found 'a/b', expected a function's id"),
        (
            format!("image {greeter} --etcd-endpoint 127.0.0.1:1"),
            "--etcd-endpoint: cannot use etcd: ",
        ),
    ] {
        let found = error(&format!("call {line} --through {address}")).await;
        assert!(found.starts_with(expected) && !found.contains('\n'), "{line}: {found}");
    }
}

fn rows(file: &Path) -> Vec<Vec<String>> {
    let rows = std::fs::read_to_string(file).unwrap();
    rows.lines().skip(1).map(|row| row.split(',').map(str::to_owned).collect()).collect()
}

#[tokio::test]
async fn threads_send_each_call_of_the_schedule_once_by_either_api() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], "").await;
    let (_, address) = instance(&worker, "image").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls.csv");
    let of_2025 = format!(
        "--functions image,image --address {} --database-address {}",
        worker.app.address(),
        worker.database
    );
    let today = format!("--through {address} --method a.v1.B/C --function one,two --data-bytes 9");
    for (at, names) in [(of_2025, ["image", "image"]), (today, ["one", "two"])] {
        for (connections, threads) in [(1, 1), (5, 3)] {
            let line = format!(
                "load --rate 256 --duration 500ms --connections {connections} --threads {threads} \
                 --csv {} {at}",
                file.display()
            );
            let found = json(&line).await;
            let mut rows = rows(&file);
            assert!(rows.iter().all(|row| row[6] == "Ok"), "{found}");
            rows.sort_by_key(|row| row[1].parse::<u64>().unwrap());
            let intended: Vec<u64> = rows.iter().map(|row| row[1].parse().unwrap()).collect();
            let expected: Vec<u64> = (0..128).map(|number| number * 3_906_250).collect();
            assert_eq!(intended, expected, "{line}");
            for (row, number) in rows.iter().zip(0..) {
                assert_eq!(row[0], names[number % 2]);
                let [intended, sent, ended] = [1, 2, 3].map(|at| row[at].parse::<u64>().unwrap());
                assert!(intended <= sent && sent < ended, "{row:?}");
            }
            for function in found["functions"].as_array().unwrap() {
                assert_eq!(function["answered"], 64, "{found}");
            }
        }
    }
}

/// A server that sends no trailers but gRPC's, as the platform's own functions do. It ends its first
/// connection after so many calls, and others after `calls`; a connection for none is cut when a call comes.
async fn without_predictions(of_first: usize, calls: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut calls_of_next = of_first;
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, calls_of_next));
            calls_of_next = calls;
        }
    });
    address
}

async fn serve(stream: TcpStream, calls: usize) {
    let (answered, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let told = Arc::clone(&over);
    let service = service_fn(move |request: Request<Incoming>| {
        let (answered, over) = (Arc::clone(&answered), Arc::clone(&told));
        async move {
            assert_eq!(request.uri().authority().unwrap(), "a-function");
            request.into_body().collect().await.unwrap();
            if answered.fetch_add(1, Ordering::Relaxed) + 1 >= calls {
                over.notify_one();
            }
            if calls == 0 {
                pending::<()>().await;
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let body = Full::new(Bytes::from(framed(false, b"\x0a\x02hi")));
            let body = body.with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
            let response = Response::builder().header("content-type", "application/grpc");
            Ok::<_, Infallible>(response.body(body).unwrap())
        }
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let mut connection = std::pin::pin!(server.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = &mut connection => {}
        () = over.notified() => if calls > 0 {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_ends_is_made_anew_and_loses_only_the_calls_that_it_carried() {
    let address = without_predictions(0, 3).await;
    let line = format!("--through {address} --function a-function --method a.v1.B/C");
    let found = json(&format!("call {line} -n 20")).await;
    assert_eq!(found["calls"], 19, "{found}");
    let errors = found["errors"].as_object().unwrap();
    let is_lost =
        |(error, count): (&String, &Value)| error.starts_with("Unavailable: ") && count == 1;
    assert!(errors.len() == 1 && errors.iter().all(is_lost), "{errors:?}");
}

#[tokio::test]
async fn functions_that_say_nothing_of_a_prediction_are_measured_without_it() {
    let address = without_predictions(usize::MAX, usize::MAX).await;
    let line = format!("--through {address} --function a-function --method a.v1.B/C");
    let Output { text, succeeded } = run(&format!("call {line}")).await.unwrap();
    assert!(succeeded && text.contains("observed") && text.contains("hex:0a026869"), "{text}");
    assert!(!text.contains("predicted") && !text.contains("difference"), "{text}");

    let found = json(&format!("load {line} --rate 100 --duration 200ms")).await;
    let function = &found["functions"][0];
    assert_eq!((&function["answered"], &function["early"]), (&20.into(), &0.into()), "{found}");
    assert!(function["latency_ns"]["p50"].as_u64().unwrap() > 0, "{found}");
    for unknown in ["timing_error_ns", "worker_timing_error_ns", "cold_start_ns", "image"] {
        assert_eq!(function.get(unknown), None, "{found}");
    }
    assert_eq!(function["function_id"], "a-function");
}
