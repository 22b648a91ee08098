//! The HTTP port: the page, its API, its stream, and what it takes of strangers.

mod changes;

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use hyperfake_worker::{
    clock::precise,
    functions::{
        etcd::{EtcdConfig, EtcdStore, PREFIX},
        metadata::{Image, Metadata},
    },
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    metrics::page_with,
    support::{LOOKS, TestWorker, call, constant, eventually, pause, request, try_config},
};

const HTTP: &str = "--http 127.0.0.1:0";
const ADMIN: &str = "--http 127.0.0.1:0 --admin";
const FAULT: &str = "version: 1\nfaults:\n  - {name: broken, status: INTERNAL, enabled: false}\n";
const HOSTILE: &str = "\"><script>alert(1)</script>";

/// A client of a worker's port.
struct Page {
    client: Client,
    address: SocketAddr,
}

impl Page {
    fn of(worker: &TestWorker) -> Self {
        let client = Client::builder().no_proxy().build().unwrap();
        Self { client, address: worker.app.http_address().unwrap() }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path).send().await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// Waits until what is at a path is as expected.
    async fn until(&self, path: &str, expected: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..LOOKS {
            let found = self.json(path).await;
            if expected(&found) {
                return found;
            }
            pause().await;
        }
        panic!("{path} is still {}", self.json(path).await);
    }

    async fn change(&self, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
        let kind = if path.contains("scenario") { "application/yaml" } else { "application/json" };
        let request = self.ask(method, path).header("hyperfake-change", "1");
        let answer = request.header("content-type", kind).body(body.to_owned()).send();
        let answer = answer.await.unwrap();
        (answer.status(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    /// The status of a request with this head, as it stands here.
    async fn raw(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
    }
}

/// The data of the next snapshot in a stream.
async fn snapshot(stream: &mut Response) -> Value {
    let mut text = String::new();
    loop {
        let chunk = stream.chunk().await.unwrap().expect("the stream has ended");
        text += std::str::from_utf8(&chunk).unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: "));
        if let (Some(data), true) = (data, text.ends_with("\n\n")) {
            return serde_json::from_str(data).unwrap();
        }
    }
}

#[tokio::test]
async fn the_page_and_its_files_come_with_a_strict_policy() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], HTTP).await;
    let page = Page::of(&worker);
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/table", "text/html; charset=utf-8"),
        ("/healthz", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/api/v1/state", "application/json"),
    ] {
        let answer = page.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        let headers = answer.headers();
        assert_eq!(headers["content-type"], kind, "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
    }
    let summary = worker.app.summary();
    assert!(summary.contains(&format!("watch it at http://{}/", page.address)), "{summary}");
}

#[tokio::test]
async fn a_running_call_is_seen_and_then_its_parts() {
    let models =
        [("long", constant(Duration::from_secs(600))), ("short", constant(Duration::ZERO))];
    let models = models.each_ref().map(|(image, model)| (*image, model.as_str()));
    let worker = TestWorker::start(&models, HTTP).await;
    let page = Page::of(&worker);
    let (long, short) = (worker.register("long").await, worker.register("short").await);
    let instance = worker.start_instance(&long).await.unwrap();
    worker.start_instance(&short).await.unwrap();
    let running = tokio::spawn(call(worker.client.clone(), request(&long, &long, b"")));
    eventually("a call runs", || worker.worker().usage().ram_bytes > 0).await;

    let mut stream = page.get("/api/v1/stream").await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let seen = loop {
        let seen = snapshot(&mut stream).await;
        if seen["totals"]["active"] == 1 {
            break seen;
        }
    };
    assert_eq!(seen["totals"]["instances"], json!([0, 1, 1, 0]));
    assert_eq!(seen["workers"]["active"], json!([1]));
    let strip = seen["strip"].as_array().unwrap();
    let row = strip.iter().find(|row| row[0] == instance.as_str()).unwrap();
    assert!(row[4].as_str().unwrap().ends_with('B'), "{row}");
    let state = page.json("/api/v1/state").await;
    assert_eq!(state["run"], seen["run"]);
    assert_eq!(state["workers"]["names"], json!([worker.app.address().to_string()]));
    let functions = page.json("/api/v1/functions").await;
    let place = |id: &str| {
        let all = functions["functions"].as_array().unwrap();
        all.iter().position(|function| function["id"] == id).unwrap()
    };
    assert_eq!(functions["functions"][place(&long)]["image"], "long");
    let instances = page.json(&format!("/api/v1/instances?function={long}")).await;
    assert_eq!(
        (&instances["total"], &instances["instances"][0]["state"]),
        (&json!(1), &json!("busy"))
    );

    worker.call(&short, b"12345").await.unwrap();
    let answered = |calls: &Value| calls["slowest"].as_array().is_some_and(|all| !all.is_empty());
    let calls = page.until("/api/v1/calls", answered).await;
    let call = &calls["slowest"][0];
    assert_eq!(call["function"], place(&short));
    assert_eq!((&call["outcome"], &call["cold"]), (&json!("ok"), &json!(true)));
    assert_eq!(call["features"]["request_bytes"], 5.0);
    let sum = ["queue_s", "cold_start_s", "run_s"].map(|part| call[part].as_f64().unwrap());
    let total = call["total_s"].as_f64().unwrap();
    assert!((sum.iter().sum::<f64>() - total).abs() <= 1e-3 * total, "{call}");
    let ended = loop {
        let seen = snapshot(&mut stream).await;
        if seen["totals"]["latency_s"].is_array() {
            break seen;
        }
    };
    assert_eq!(ended["functions"][0][0], place(&short));
    assert_eq!(ended["pairs"].as_array().unwrap().len(), 1);
    running.abort();
}

#[tokio::test]
async fn sixteen_readers_are_served_and_one_that_left_makes_room() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], HTTP).await;
    let page = Page::of(&worker);
    let mut readers = Vec::new();
    for _ in 0..16 {
        let reader = page.get("/api/v1/stream").await;
        assert_eq!(reader.status(), 200);
        readers.push(reader);
    }
    assert_eq!(page.get("/api/v1/stream").await.status(), 503);
    let numbers = [
        snapshot(&mut readers[0]).await["n"].as_u64().unwrap(),
        snapshot(&mut readers[0]).await["n"].as_u64().unwrap(),
    ];
    assert!(numbers[0] < numbers[1], "{numbers:?}");
    readers.pop();
    for _ in 0..LOOKS {
        if page.get("/api/v1/stream").await.status() == 200 {
            return;
        }
        pause().await;
    }
    panic!("there is no room for another reader");
}

#[tokio::test]
async fn foreign_hosts_and_origins_and_paths_upwards_are_refused() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], ADMIN).await;
    let page = Page::of(&worker);
    let own = page.address;
    for (head, expected) in [
        (format!("GET / HTTP/1.1\r\nHost: {own}"), "200"),
        ("GET / HTTP/1.1\r\nHost: evil.example".into(), "421"),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example".into(), "421"),
        ("GET /metrics HTTP/1.1\r\nHost: localhost.evil.example".into(), "421"),
        (format!("GET http://evil.example/ HTTP/1.1\r\nHost: {own}"), "421"),
        ("GET / HTTP/1.1".into(), "400"),
        (
            format!("GET /api/v1/state HTTP/1.1\r\nHost: {own}\r\nOrigin: http://evil.example"),
            "403",
        ),
        (format!("GET /metrics HTTP/1.1\r\nHost: {own}\r\nSec-Fetch-Site: cross-site"), "403"),
        (format!("GET /../Cargo.toml HTTP/1.1\r\nHost: {own}"), "404"),
        (format!("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: {own}"), "404"),
        (format!("GET /..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: {own}"), "404"),
        (format!("GET /api/v1/../../page.css HTTP/1.1\r\nHost: {own}"), "404"),
        (format!("GET //etc/passwd HTTP/1.1\r\nHost: {own}"), "404"),
        (format!("DELETE / HTTP/1.1\r\nHost: {own}"), "403"),
        (format!("POST /api/v1/scenario HTTP/1.1\r\nHost: {own}\r\nContent-Length: 0"), "403"),
    ] {
        let status = page.raw(&head).await;
        assert!(status.starts_with(&format!("HTTP/1.1 {expected} ")), "{head}: {status}");
    }
}

#[tokio::test]
async fn a_token_is_needed_where_others_reach_the_page() {
    let token = "0123456789abcdef";
    let options = format!("--http 127.0.0.1:0 --http-token {token}");
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], &options).await;
    let page = Page::of(&worker);
    assert_eq!(page.get("/healthz").await.status(), 200);
    let refused = page.get("/metrics").await;
    assert_eq!(refused.status(), 401);
    assert!(refused.headers().contains_key("www-authenticate"));
    let served = page.ask(Method::GET, "/metrics").bearer_auth(token).send().await.unwrap();
    assert_eq!(served.status(), 200);
    let config = try_config("--http 0.0.0.0:0").unwrap();
    let error = hyperfake_worker::app::App::start(config).await.unwrap_err().to_string();
    assert!(error.starts_with("--http: found 0.0.0.0:0, which others"), "{error}");
    assert!(!format!("{:?}", try_config(&options).unwrap()).contains(token));
}

/// Registers functions with these ids in a worker's etcd, which takes any text, and calls each once.
async fn call_each(worker: &TestWorker, ids: &[String]) {
    let endpoints = vec![worker.app.etcd_address().unwrap().to_owned()];
    let config = EtcdConfig { endpoints, prefix: PREFIX.into(), timeout: Duration::from_secs(60) };
    let store = EtcdStore::new(&config).unwrap();
    for id in ids {
        let image = Some(Image { tag: "image".into(), ..Image::default() });
        store.put(id, &Metadata { image, ..Metadata::default() }).await.unwrap();
        worker.start_instance(id).await.unwrap();
        worker.call(id, b"").await.unwrap();
    }
}

#[tokio::test]
async fn functions_with_hostile_names_are_counted_and_harmless() {
    let options = format!("{HTTP} --etcd-listen 127.0.0.1:0");
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], &options).await;
    let sample = "x\nhyperfake_calls_total{function=\"fake\",outcome=\"ok\"} 666\n";
    let ids = [
        HOSTILE.to_owned(),
        sample.into(),
        "../../etc/passwd".into(),
        "a\\".into(),
        "x".repeat(250),
        "other".into(),
        "\u{1b}]0;x\u{7}\u{202e}".into(),
    ];
    call_each(&worker, &ids).await;
    let page = Page::of(&worker);
    let line = |id: &str| {
        let id = id.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("hyperfake_calls_total{{function=\"{id}\",outcome=\"ok\"}} 1")
    };
    let lines: Vec<_> = ids.iter().map(|id| line(id)).collect();
    let metrics = page_with(&worker, &lines).await;
    let calls = metrics.lines().filter(|line| line.starts_with("hyperfake_calls_total{")).count();
    assert_eq!(calls, ids.len(), "{metrics}");
    let functions = page.json("/api/v1/functions").await;
    let shown = functions["functions"].as_array().unwrap();
    for id in &ids {
        assert!(shown.iter().any(|function| function["id"] == id.as_str()), "{id} in {functions}");
    }
    let table = page.get("/table").await.text().await.unwrap();
    assert!(table.contains("&quot;&gt;&lt;script&gt;alert(1)"), "{table}");
    assert!(!table.contains("<script"), "{table}");
}

#[tokio::test]
async fn a_thousand_functions_with_long_names_are_shown() {
    let options = format!("{HTTP} --etcd-listen 127.0.0.1:0");
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], &options).await;
    let long = "x".repeat(250);
    let ids: Vec<_> = (0..1001).map(|number| format!("{number:04}{long}")).collect();
    call_each(&worker, &ids).await;
    let page = Page::of(&worker);
    let last = format!("hyperfake_calls_total{{function=\"{}\",outcome=\"ok\"}} 1", ids[999]);
    let other = "hyperfake_calls_total{function=\"other\",outcome=\"ok\"} 1".to_owned();
    let metrics = page_with(&worker, &[last, other]).await;
    let calls = metrics.lines().filter(|line| line.starts_with("hyperfake_calls_total{")).count();
    assert_eq!(calls, 1001);
    let all = |functions: &Value| functions["functions"].as_array().unwrap().len() == 1001;
    page.until("/api/v1/functions", all).await;
    for path in ["/table", "/api/v1/state", "/api/v1/calls"] {
        let text = page.get(path).await.text().await.unwrap();
        assert!(text.len() < 500_000, "{path}: {} bytes", text.len());
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_as_json() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], ADMIN).await;
    let page = Page::of(&worker);
    let long = "x".repeat((256 << 10) + 1);
    for (method, path, body, expected) in [
        (Method::GET, "/%ff", "", 400),
        (Method::GET, "/nothing", "", 404),
        (Method::POST, "/api/v1/instances/%ff/kill", "", 400),
        (Method::PATCH, "/api/v1/faults/%ff", "{}", 400),
        (Method::POST, "/api/v1/scenario/check", long.as_str(), 413),
        (Method::PATCH, "/api/v1/faults/x", long.as_str(), 413),
    ] {
        let (status, answer) = page.change(method, path, body).await;
        assert_eq!(status, expected, "{path}: {answer}");
        let text = answer["error"].as_str().unwrap();
        assert!(text.starts_with("found ") && text.contains("expected "), "{path}: {text}");
    }
}

#[tokio::test]
async fn the_scenario_that_is_shown_is_the_one_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.yaml");
    std::fs::write(&file, FAULT).unwrap();
    let options = format!("{HTTP} --scenario {}", file.display());
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], &options).await;
    let page = Page::of(&worker);
    std::fs::write(&file, "no scenario").unwrap();
    assert_eq!(page.json("/api/v1/scenario").await["text"], FAULT);
    worker.app.reload_scenario().unwrap_err();
    assert_eq!(page.json("/api/v1/scenario").await["text"], FAULT);
    let other = FAULT.replace("broken", "other");
    std::fs::write(&file, &other).unwrap();
    assert!(worker.app.reload_scenario().unwrap());
    assert_eq!(page.json("/api/v1/scenario").await["text"], other);
}

#[tokio::test]
async fn where_metrics_alone_are_served_the_summary_says_so_and_any_host_is_taken() {
    let options = "--metrics-address 0.0.0.0:0";
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], options).await;
    let port = worker.app.http_address().unwrap().port();
    let client = Client::builder().no_proxy().build().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let page = Page { client, address };
    let host = "Host: hyperfake.default.svc";
    for (path, expected) in [("/metrics", "200"), ("/healthz", "200"), ("/", "403")] {
        let status = page.raw(&format!("GET {path} HTTP/1.1\r\n{host}")).await;
        assert!(status.starts_with(&format!("HTTP/1.1 {expected} ")), "{path}: {status}");
    }
    let summary = worker.app.summary();
    assert!(summary.contains(&format!("metrics at http://0.0.0.0:{port}/metrics")), "{summary}");
    assert!(!summary.contains("watch it"), "{summary}");
}

#[tokio::test]
async fn names_that_look_like_a_page_are_harmless() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], HTTP).await;
    let page = Page::of(&worker);
    worker.call(HOSTILE, b"").await.unwrap_err();
    let failed = |calls: &Value| calls["failed"].as_array().is_some_and(|all| !all.is_empty());
    let calls = page.until("/api/v1/calls", failed).await;
    assert_eq!(calls["failed"][0]["function"], 0, "that of the others");
    for path in ["/table", "/metrics", "/api/v1/functions", "/api/v1/state"] {
        let text = page.get(path).await.text().await.unwrap();
        assert!(!text.contains("<script>"), "{path}: {text}");
    }
    let query = format!("/api/v1/instances?function={}", "x".repeat(4000));
    assert_eq!(page.json(&query).await["total"], 0);
    assert_eq!(page.get("/api/v1/instances?limit=-1").await.status(), 400);
}

/// The median time of 200 calls, one after the other.
async fn median_of_calls(worker: &TestWorker, function: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..200 {
        let begin = precise::now();
        worker.call(function, b"").await.unwrap();
        times.push(precise::now() - begin);
    }
    times.sort_unstable();
    times[100]
}

#[tokio::test]
async fn many_scrapes_and_readers_that_do_not_read_are_nothing_to_calls() {
    let model = constant(Duration::ZERO);
    let (worker, function, _) = TestWorker::with_instance(&model, HTTP).await;
    let page = Page::of(&worker);
    let mut silent = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(page.address).await.unwrap();
        let head = format!("GET /api/v1/stream HTTP/1.1\r\nHost: {}\r\n\r\n", page.address);
        stream.write_all(head.as_bytes()).await.unwrap();
        silent.push(stream);
    }
    let scrapes = async {
        let mut stream = TcpStream::connect(page.address).await.unwrap();
        let one = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", page.address);
        let (mut read, mut write) = stream.split();
        let many = Bytes::from(one.repeat(1000));
        let sent = async { write.write_all(&many).await.unwrap() };
        let answered = async {
            let (mut found, mut buffer) = (0, vec![0; 1 << 16]);
            while found < 1000 {
                let length = read.read(&mut buffer).await.unwrap();
                assert!(length > 0, "the connection was closed after {found} answers");
                // One in each answer, and rarely cut in two: then the test waits for another one.
                found += String::from_utf8_lossy(&buffer[..length]).matches("HTTP/1.1 200").count();
                if found >= 990 {
                    break;
                }
            }
        };
        tokio::join!(sent, answered);
    };
    let alone = median_of_calls(&worker, &function).await;
    let ((), beside) = tokio::join!(scrapes, median_of_calls(&worker, &function));
    // The scrapes take a part of the CPUs, and more of few.
    assert!(beside <= 10 * alone + Duration::from_millis(5), "{beside:?}, and {alone:?} alone");
    let all = format!("hyperfake_calls_total{{function=\"{function}\",outcome=\"ok\"}} 400");
    page_with(&worker, &[all]).await;
}

#[tokio::test]
async fn what_is_told_of_a_fleet_of_1000_is_small() {
    let options = format!("{HTTP} --fleet 1000");
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], &options).await;
    let page = Page::of(&worker);
    let mut calls = Vec::new();
    for _ in 0..10 {
        let function = worker.register("image").await;
        worker.start_instance(&function).await.unwrap();
        calls.push(function);
    }
    let mut stream = page.get("/api/v1/stream").await;
    let seen = loop {
        for function in &calls {
            worker.call(function, b"").await.unwrap();
        }
        let seen = snapshot(&mut stream).await;
        if seen["functions"].as_array().is_some_and(|functions| functions.len() == 10) {
            break seen;
        }
    };
    assert_eq!(seen["workers"]["cpu"].as_array().unwrap().len(), 1000);
    assert!(seen.to_string().len() < 100_000, "{} bytes", seen.to_string().len());
    let state = page.json("/api/v1/state").await;
    assert_eq!(state["workers"]["names"].as_array().unwrap().len(), 1000);
    assert!(state.to_string().len() < 150_000, "{} bytes", state.to_string().len());
}
