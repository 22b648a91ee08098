//! A worker in this process, with models made for the test, and a client of it.

#![allow(unreachable_pub, reason = "the tests' own module, used by the others")]

use std::{ffi::OsString, fmt::Write, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use hyperfake_proto::controller::{
    StatusRequest, StatusUpdate,
    common::{CallRequest, CallResponse, FunctionId, InstanceId},
    controller_client::ControllerClient,
};
use hyperfake_worker::{
    app::App,
    args::{Cli, Command},
    config::Config,
    functions::http::HttpStore,
    machine::Machine,
    wire::controller::trailers::Trailers,
    worker::Worker,
};
use tempfile::TempDir;
use tonic::{Code, Status, Streaming, transport::Channel};

/// A worker that serves until it is dropped.
pub struct TestWorker {
    pub app: App,
    pub client: ControllerClient<Channel>,
    pub registry: HttpStore,
    pub database: String,
    _folder: TempDir,
}

/// The answer to a call.
#[derive(Debug, Clone)]
pub struct Answer {
    pub response: CallResponse,
    pub trailers: Trailers,
    pub metadata: tonic::metadata::MetadataMap,
}

/// A model that always predicts this run time.
pub fn constant(runtime: Duration) -> String {
    format!(
        r#"{{"kind": "constant", "runtime_ns": {}, "cpu_cores": 0.5, "ram_bytes": 8000000}}"#,
        runtime.as_nanos()
    )
}

impl TestWorker {
    /// With these models (image and JSON) and options, without cold start unless they say so.
    pub async fn start(models: &[(&str, &str)], options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut line = "--address 127.0.0.1:0 --database-type embedded ".to_owned();
        line += "--database-address http://127.0.0.1:0 --cpus 4 --memory 1GB ";
        for (image, json) in models {
            let path = folder.path().join(format!("{}.json", image.replace([':', '/'], "_")));
            std::fs::write(&path, json).unwrap();
            write!(line, "-m {} {image} ", path.display()).unwrap();
        }
        if !options.contains("--runtime") {
            line += "--runtime instant ";
        }
        if !options.contains("--http") && !options.contains("--metrics-address") {
            line += "--http off ";
        }
        let app = App::start(config(&(line + options))).await.unwrap();
        let client = connect(&app).await;
        let registry = HttpStore::new(app.registry_url().clone()).unwrap();
        let database = app.registry_url().to_string();
        Self { app, client, registry, database, _folder: folder }
    }

    /// With one function, whose image is `image` and which has one instance.
    pub async fn with_instance(json: &str, options: &str) -> (Self, String, String) {
        let worker = Self::start(&[("image", json)], options).await;
        let function = worker.register("image").await;
        let instance = worker.start_instance(&function).await.unwrap();
        (worker, function, instance)
    }

    pub fn worker(&self) -> &Arc<Worker> {
        self.app.worker()
    }

    pub async fn register(&self, image: &str) -> String {
        self.registry.register(image).await.unwrap()
    }

    pub async fn start_instance(&self, function: &str) -> Result<String, Status> {
        let request = FunctionId { id: function.into() };
        let response = self.client.clone().start(request).await?.into_inner();
        Ok(response.instance_id.unwrap().id)
    }

    pub async fn stop_instance(&self, instance: &str) -> Result<String, Status> {
        let request = InstanceId { id: instance.into() };
        Ok(self.client.clone().stop(request).await?.into_inner().id)
    }

    /// As a leaf does it: the function's id in both fields.
    pub async fn call(&self, function: &str, data: &[u8]) -> Result<Answer, Status> {
        self.call_on(function, function, data).await
    }

    pub async fn call_on(&self, function: &str, id: &str, data: &[u8]) -> Result<Answer, Status> {
        call(self.client.clone(), request(function, id, data)).await
    }

    pub async fn listen(&self, node: &str) -> Streaming<StatusUpdate> {
        let request = StatusRequest { node_id: node.into() };
        self.client.clone().status(request).await.unwrap().into_inner()
    }

    /// Waits until no call holds anything.
    pub async fn is_idle(&self) {
        let worker = self.worker();
        eventually("the worker is idle", || {
            let usage = worker.usage();
            (usage.calls, usage.cpu_cores, usage.ram_bytes) == (0, 0.0, 0)
        })
        .await;
    }
}

pub fn request(function: &str, instance: &str, data: &[u8]) -> CallRequest {
    CallRequest {
        request_id: 42,
        instance_id: Some(InstanceId { id: instance.into() }),
        data: Bytes::copy_from_slice(data),
        function_id: Some(FunctionId { id: function.into() }),
    }
}

pub async fn call(
    mut client: ControllerClient<Channel>,
    request: impl tonic::IntoRequest<CallRequest>,
) -> Result<Answer, Status> {
    let (metadata, response, _) = client.call(request).await?.into_parts();
    let trailers = Trailers::read(&metadata)?;
    Ok(Answer { response, trailers, metadata })
}

pub async fn connect(app: &App) -> ControllerClient<Channel> {
    ControllerClient::new(channel(app).await).max_decoding_message_size(usize::MAX)
}

pub async fn channel(app: &App) -> Channel {
    channel_to(app.address()).await
}

pub async fn channel_to(address: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    // A small window for a stream, so that a listener which does not read is soon noticed.
    let endpoint = endpoint.initial_stream_window_size(65_535);
    endpoint.initial_connection_window_size(16 << 20).connect().await.unwrap()
}

/// The configuration of `hyperfake server` with these options.
pub fn config(line: &str) -> Config {
    try_config(line).unwrap()
}

pub fn try_config(line: &str) -> hyperfake_predictor::Result<Config> {
    let words = ["hyperfake", "server"].into_iter().chain(line.split_whitespace());
    match Cli::read(words.map(OsString::from)).unwrap().command {
        Command::Server(args) => Config::new(*args, &Machine::detect()),
        other => panic!("{other:?}"),
    }
}

/// A port that is bound but not listening, for as long as the socket lives.
pub fn deaf_port() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

/// A message as gRPC frames it (the flag says that it is compressed).
pub fn framed(compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u32).to_be_bytes();
    [&[u8::from(compressed)], &length[..], message].concat()
}

/// The worker's answer, undecoded.
#[derive(Debug)]
pub struct Raw {
    pub headers: reqwest::header::HeaderMap,
    pub body: Bytes,
}

impl Raw {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Sends this body to a method of the worker, with these headers.
pub async fn raw(worker: &TestWorker, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Raw {
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let url = format!("http://{}/controller.Controller/{method}", worker.app.address());
    let mut request = client.post(url).header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.header("te", "trailers").body(body.to_vec()).send().await.unwrap();
    let headers = answer.headers().clone();
    Raw { headers, body: answer.bytes().await.unwrap() }
}

/// Waits, for as long as a slow machine may need, until something holds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if holds() {
            return;
        }
        pause().await;
    }
    panic!("waited for 30 s, but not so: {what}");
}

/// How often something is looked at that should come to hold.
pub const LOOKS: usize = 6000;

/// The time from one look to the next.
#[expect(clippy::disallowed_methods, reason = "a look every few milliseconds is exact enough")]
pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// The code that a request was refused with.
pub fn code<T: std::fmt::Debug>(result: Result<T, Status>) -> Code {
    result.unwrap_err().code()
}

/// A folder of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
