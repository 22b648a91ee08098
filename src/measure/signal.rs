use std::{
    convert::Infallible,
    future, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::clock::Clock;

/// The worker of one process, as far as the process knows: it takes `SignalReady` of the API of today, and
/// answers nothing else. Any call of it is from this process, because no other one is told its address.
#[derive(Debug)]
pub(super) struct SignalReady {
    address: SocketAddr,
    was_called: Arc<AtomicBool>,
    /// Ends when this is dropped.
    _serving: JoinSet<()>,
}

const METHOD: &str = "/worker.Worker/SignalReady";
/// An empty message of gRPC: it is not compressed, and has no bytes.
const EMPTY: &[u8] = &[0; 5];
/// gRPC's codes of OK and UNIMPLEMENTED.
const OK: &str = "0";
const UNIMPLEMENTED: &str = "12";
/// The most connections at once, and the longest request, in bytes.
const CONNECTIONS: usize = 16;
const LONGEST: usize = 64 << 10;
/// After a connection that cannot be accepted.
const PAUSE: Duration = Duration::from_millis(10);

impl SignalReady {
    /// Takes it at an address of its own.
    pub(super) async fn listen(clock: &Clock) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let was_called = Arc::new(AtomicBool::new(false));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&was_called), clock.clone()));
        Ok(Self { address, was_called, _serving: serving })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the process has called.
    pub(super) fn was_called(&self) -> bool {
        self.was_called.load(Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, was_called: Arc<AtomicBool>, clock: Clock) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                while connections.try_join_next().is_some() {}
                if connections.len() < CONNECTIONS {
                    connections.spawn(connection(stream, Arc::clone(&was_called)));
                }
            }
            Err(_) => clock.sleep_until(clock.now() + PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, was_called: Arc<AtomicBool>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&was_called)));
    // A client that breaks the connection learns of it itself.
    let server = http2::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    was_called: Arc<AtomicBool>,
) -> Result<Response<impl http_body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let is_signal = request.uri().path() == METHOD;
    // What it says is not needed, and a client may wait until it was read.
    let _ = Limited::new(request.into_body(), LONGEST).collect().await;
    let (message, status) = if is_signal { (EMPTY, OK) } else { (&[][..], UNIMPLEMENTED) };
    if is_signal {
        was_called.store(true, Ordering::Relaxed);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let body = Full::new(Bytes::from_static(message));
    let mut response = Response::new(body.with_trailers(future::ready(Some(Ok(trailers)))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use hyperfake_proto::worker::{SignalReadyRequest, StartRequest, worker_client::WorkerClient};
    use tonic::{Code, transport::Endpoint};

    use super::*;
    use crate::clock::precise;

    /// As a function calls it: with a client that was generated from the API.
    #[tokio::test]
    async fn a_process_is_ready_when_it_has_called_and_not_before() {
        let signal = SignalReady::listen(&precise::start()).await.unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", signal.address())).unwrap();
        let mut client = WorkerClient::new(endpoint.connect().await.unwrap());
        let refused = client.start(StartRequest::default()).await.unwrap_err();
        assert_eq!((refused.code(), signal.was_called()), (Code::Unimplemented, false));
        let request = SignalReadyRequest { instance_id: "any".to_owned() };
        client.signal_ready(request).await.unwrap();
        assert!(signal.was_called());
    }
}
