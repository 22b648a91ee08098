use std::{convert::Infallible, net::SocketAddr, sync::Arc, thread};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use prost::Message;
use tokio::{net::TcpListener, runtime::Builder};

use super::{Config, Exported, Exporter, Share};
use crate::{clock::manual::ManualClock, otlp::spans::tests::record};

/// What a collector is sent, as far as it is looked at: the names and numbers of the fields are those of
/// opentelemetry-proto.
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<Attribute>,
}

/// A collector on a thread of its own, and what it was sent.
struct Collector {
    address: SocketAddr,
    exports: Arc<Mutex<Vec<Export>>>,
}

impl Collector {
    fn start() -> Self {
        let exports = Arc::new(Mutex::new(Vec::new()));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let all = Arc::clone(&exports);
        thread::spawn(move || {
            runtime.block_on(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let all = Arc::clone(&all);
                    let serve = service_fn(move |request| take(request, Arc::clone(&all)));
                    let stream = TokioIo::new(stream);
                    let serving = http2::Builder::new(TokioExecutor::new());
                    tokio::spawn(async move { serving.serve_connection(stream, serve).await });
                }
            });
        });
        Self { address, exports }
    }

    fn spans(&self) -> Vec<Span> {
        let exports = self.exports.lock();
        let resources = exports.iter().flat_map(|export| &export.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

/// Takes an export as a server of gRPC does.
async fn take(
    request: Request<Incoming>,
    exports: Arc<Mutex<Vec<Export>>>,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert_eq!(request.uri().path(), path);
    let message = request.into_body().collect().await.unwrap().to_bytes();
    // Not compressed, and its length.
    assert_eq!(message[0], 0);
    exports.lock().push(Export::decode(&message[5..]).unwrap());
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let body = Full::new(Bytes::from_static(&[0; 5]));
    let body = body.with_trailers(async move { Some(Ok(trailers)) });
    let kind = HeaderValue::from_static("application/grpc");
    Ok(Response::builder().header("content-type", kind).body(body).unwrap())
}

fn exporter(address: SocketAddr, share: &str) -> Exporter {
    let share: Share = share.parse().unwrap();
    let config = Config::new(format!("http://{address}"), share).unwrap();
    Exporter::start(&config, ManualClock::new().clock(), |_| "UNAVAILABLE").unwrap()
}

#[test]
fn a_collector_gets_the_spans_of_every_call() {
    let collector = Collector::start();
    let exporter = exporter(collector.address, "1");
    let sink = exporter.sink();
    for number in 0..1000 {
        sink.call_ended(&record(Some(number)));
    }
    // The workers may have the sink for longer.
    let expected = Exported { calls: 1000, dropped: 0, refused: 0 };
    assert_eq!(exporter.finish(), expected);
    let spans = collector.spans();
    assert_eq!(spans.len(), 4000);
    let calls: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    assert_eq!(calls.len(), 1000);
    // A server's.
    assert_eq!((&*calls[0].name, calls[0].kind), ("echo", 2));
    assert!(calls[0].attributes.iter().any(|attribute| attribute.key == "faas.coldstart"));
    let traces: std::collections::BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), 1000);
    let exports = collector.exports.lock();
    let resource = exports[0].resource_spans[0].resource.as_ref().unwrap();
    assert!(resource.attributes.iter().any(|attribute| attribute.key == "service.name"));
    // What ends later is not exported.
    sink.call_ended(&record(Some(7)));
}

#[test]
fn a_share_of_the_calls_is_the_same_in_each_run() {
    let ids = || {
        let collector = Collector::start();
        let exporter = exporter(collector.address, "0.1");
        let sink = exporter.sink();
        (0..2000).for_each(|number| sink.call_ended(&record(Some(number))));
        exporter.finish().calls
    };
    let taken = ids();
    assert!((150..250).contains(&taken), "{taken}");
    assert_eq!(ids(), taken);
}

#[test]
fn without_a_collector_calls_are_counted_and_nothing_waits() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let exporter = exporter(address, "1");
    let sink = exporter.sink();
    // More than the queue holds, and than are taken out of it while the collector is tried.
    (0..20_000).for_each(|number| sink.call_ended(&record(Some(number))));
    let Exported { calls, dropped, refused } = exporter.finish();
    assert_eq!((calls, dropped + refused), (0, 20_000));
    assert!(dropped > 0 && refused > 0, "{dropped} {refused}");
}

#[test]
fn what_is_no_collectors_address_is_refused() {
    for endpoint in ["localhost:4317", "grpc://a:1", "http://a:1/v1/traces", ""] {
        let error = Config::new(endpoint.into(), Share::ALL).unwrap_err().to_string();
        let expected = format!("found '{endpoint}', expected the address of a collector's gRPC");
        assert!(error.starts_with(&expected), "{error}");
    }
}
