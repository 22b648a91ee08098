//! The lower bound that the worker is compared with: a service that answers every call at once with
//! as many bytes and trailers, but simulates nothing.
//!
//! `floor_server HOST:PORT` and `floor_server HOST:PORT short` use the worker's own threads,
//! transport and path of a call. `floor_server HOST:PORT router` is a bare tonic server, one on each
//! thread; `just bench-server` compares it with the worker. With the files of a certificate and its
//! key as two more arguments it speaks TLS. `floor_server HOST:PORT raw` is a bare hyper server, which
//! takes any method and any bytes: `just bench-server --instance` compares it with an instance's own
//! address.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench may fail")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyperfake_proto::controller::{
    MetricsRequest, MetricsUpdate, StartResponse, StatusRequest, StatusUpdate,
    common::{CallRequest, CallResponse, FunctionId, InstanceId},
    controller_server::{Controller, ControllerServer},
};
use hyperfake_worker::{
    clock::{Clock, precise},
    tls::{ServerFiles, ServerTls},
    wire::{
        controller::{
            fast_path::{CallFastPath, CallHandler, CallResult},
            trailers,
        },
        transport::{Acceptor, Connection, Endpoint, MessageLimits, ServerLimits, sockets::bind},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedSender, unbounded_channel},
};
use tokio_stream::{StreamExt, wrappers::UnboundedReceiverStream};
use tonic::{
    Extensions, Request, Response, Status,
    metadata::MetadataMap,
    service::{Routes, RoutesBuilder},
    transport::{Identity, Server, ServerTlsConfig},
};

struct Floor {
    clock: Clock,
    answered: Answered,
}

/// Whether a connection was answered before. Its first trailers go into HPACK's table, as the worker's do.
type Answered = Arc<AtomicBool>;

impl CallHandler for Floor {
    async fn call(&self, request: CallRequest, _fault: Option<Box<str>>) -> CallResult {
        let response = CallResponse {
            request_id: request.request_id,
            data: Bytes::from_static(b"0123456789"),
            error: None,
            instance_id: Some(InstanceId { id: "0123456789ab".into() }),
        };
        Ok((response, call_trailers(&self.clock, &self.answered)))
    }
}

fn call_trailers(clock: &Clock, answered: &AtomicBool) -> HeaderMap {
    let mut now = trailers::nanoseconds(clock.since_epoch(clock.now()));
    now.set_sensitive(answered.swap(true, Ordering::Relaxed));
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(&trailers::CALL_QUEUED, now.clone());
    headers.insert(&trailers::GOT_RESPONSE, now);
    headers.insert(&trailers::PROCESSING_TIME, 0.into());
    headers.insert(&trailers::CPU, HeaderValue::from_static("0.6"));
    headers.insert(&trailers::RAM, 8_000_000.into());
    headers.insert(&Status::GRPC_STATUS, HeaderValue::from_static("0"));
    headers
}

#[tonic::async_trait]
impl Controller for Floor {
    type StatusStream = tokio_stream::Empty<Result<StatusUpdate, Status>>;

    async fn start(&self, _: Request<FunctionId>) -> Result<Response<StartResponse>, Status> {
        Ok(Response::new(StartResponse::default()))
    }

    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallResponse>, Status> {
        let (response, mut trailers) = CallHandler::call(self, request.into_inner(), None).await?;
        // tonic adds its own.
        trailers.remove(&Status::GRPC_STATUS);
        let metadata = MetadataMap::from_headers(trailers);
        Ok(Response::from_parts(metadata, response, Extensions::default()))
    }

    async fn stop(&self, request: Request<InstanceId>) -> Result<Response<InstanceId>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn status(
        &self,
        _: Request<StatusRequest>,
    ) -> Result<Response<Self::StatusStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }

    async fn metrics(&self, _: Request<MetricsRequest>) -> Result<Response<MetricsUpdate>, Status> {
        Ok(Response::new(MetricsUpdate::default()))
    }
}

/// The same limits for both.
const LIMITS: ServerLimits = ServerLimits {
    threads: 0,
    messages: MessageLimits { max_bytes: 4 << 20, compress_responses: false },
    max_inflight_bytes: 1 << 30,
    max_streams: 32_768,
    max_connections: 1024,
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (address, way, tls) = match &*arguments {
        [address] => (address, "short", None),
        [address, way] => (address, way.as_str(), None),
        [address, way, cert, key] => (address, way.as_str(), Some((cert, key))),
        _ => panic!("expected HOST:PORT, optionally short, router or raw, and optionally CERT KEY"),
    };
    let listener = bind(address.parse().unwrap()).unwrap().listen().unwrap();
    let threads = thread::available_parallelism().unwrap().get();
    println!("serving on {address}");
    if way == "raw" {
        return in_turn(listener, (0..threads).map(|_| spawn_hyper())).await;
    }
    if way == "router" {
        let read = |file: &String| std::fs::read(file).unwrap();
        let identity = tls.map(|(cert, key)| Identity::from_pem(read(cert), read(key)));
        return serve_with_tonic(listener, threads, identity.as_ref()).await;
    }
    let limits = ServerLimits { threads, ..LIMITS };
    let tls = tls.map(|(cert, key)| {
        let files = ServerFiles { cert: cert.into(), key: key.into(), client_ca: None };
        ServerTls::load(files).unwrap()
    });
    let acceptor = Acceptor::start(&limits, |clock| clock).await.unwrap().with_tls(tls);
    let _endpoint = acceptor.add(listener, FloorEndpoint);
    std::future::pending::<()>().await;
}

/// The worker's transport.
struct FloorEndpoint;

impl Endpoint<Clock> for FloorEndpoint {
    type Service = CallFastPath<Floor>;

    fn service(&self, clock: &Clock, _: &Connection) -> CallFastPath<Floor> {
        let (floor, routes) = services(clock.clone(), Answered::default());
        CallFastPath::new(floor, LIMITS.messages, routes)
    }
}

/// tonic's own transport, with connections in turn and the same windows, stream limit and keepalive.
async fn serve_with_tonic(listener: TcpListener, threads: usize, identity: Option<&Identity>) {
    in_turn(listener, (0..threads).map(|_| spawn_tonic(identity.cloned()))).await;
}

/// Where a thread gets its connections from.
type Queue = UnboundedSender<std::net::TcpStream>;

/// Gives each thread a connection in turn.
async fn in_turn(listener: TcpListener, queues: impl Iterator<Item = Queue>) {
    let queues: Vec<_> = queues.collect();
    for queue in queues.iter().cycle() {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        queue.send(stream.into_std().unwrap()).unwrap();
    }
}

/// hyper's own transport on a thread of its own, with the same settings.
fn spawn_hyper() -> Queue {
    let (queue, mut connections) = unbounded_channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let clock = precise::start();
            let mut server = http2::Builder::new(TokioExecutor::new());
            server
                .timer(TokioTimer::new())
                .auto_date_header(false)
                .initial_connection_window_size(16 << 20)
                .initial_stream_window_size(1 << 20)
                .max_concurrent_streams(LIMITS.max_streams)
                .keep_alive_interval(Some(Duration::from_secs(5)))
                .keep_alive_timeout(Duration::from_secs(5));
            while let Some(connection) = connections.recv().await {
                let connection = TokioIo::new(TcpStream::from_std(connection).unwrap());
                let (clock, answered) = (clock.clone(), Answered::default());
                let service = service_fn(move |request| {
                    answer_raw(request, clock.clone(), Arc::clone(&answered))
                });
                tokio::spawn(server.serve_connection(connection, service));
            }
        });
    });
    queue
}

/// Reads any message of any method, and answers with a message of ten bytes and the trailers of a call
/// at an instance's own address.
async fn answer_raw(
    request: http::Request<Incoming>,
    clock: Clock,
    answered: Answered,
) -> Result<http::Response<impl http_body::Body<Data = Bytes, Error = Infallible>>, hyper::Error> {
    request.into_body().collect().await?;
    let mut trailers = call_trailers(&clock, &answered);
    trailers.insert("instanceid", HeaderValue::from_static("0123456789ab"));
    let message = Bytes::from_static(b"\0\0\0\0\x0a0123456789");
    let frames = [Frame::data(message), Frame::trailers(trailers)];
    let frames = tokio_stream::iter(frames.map(Ok::<_, Infallible>));
    let mut response = http::Response::new(StreamBody::new(frames));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

fn spawn_tonic(identity: Option<Identity>) -> Queue {
    let (queue, connections) = unbounded_channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            // tonic has one service for all connections: none has its trailers in the table.
            let (_, routes) = services(precise::start(), Arc::new(true.into()));
            let connections = UnboundedReceiverStream::new(connections);
            let connections = connections.map(TcpStream::from_std);
            let keepalive = Some(Duration::from_secs(5));
            let server = match identity {
                None => Server::builder(),
                Some(identity) => {
                    let tls = ServerTlsConfig::new().identity(identity);
                    Server::builder().tls_config(tls).unwrap()
                }
            };
            server
                .initial_connection_window_size(16 << 20)
                .initial_stream_window_size(1 << 20)
                .max_concurrent_streams(LIMITS.max_streams)
                .http2_keepalive_interval(keepalive)
                .http2_keepalive_timeout(keepalive)
                .add_routes(routes)
                .serve_with_incoming(connections)
                .await
                .unwrap();
        });
    });
    queue
}

fn services(clock: Clock, answered: Answered) -> (Arc<Floor>, Routes) {
    let floor = Arc::new(Floor { clock, answered });
    let mut routes = RoutesBuilder::default();
    routes.add_service(ControllerServer::from_arc(Arc::clone(&floor)));
    (floor, routes.routes())
}
