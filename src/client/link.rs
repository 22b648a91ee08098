use std::{
    error::Error,
    future::poll_fn,
    iter::successors,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, Uri};
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
    rt::{Read, Write},
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioExecutor};
use tokio::sync::Mutex;
use tonic::{Code, Status, body::Body};
use tower_service::Service;

use crate::tls::{ClientTls, Protocol};

/// An HTTP/2 connection, which is made anew when it has ended. A clone is the same connection.
///
/// tonic's own channel gives all requests the same `:authority`, while through a leaf it names the function;
/// and it has a queue, a task and several boxes before the connection, which a client of 100,000 calls a
/// second notices.
#[derive(Clone)]
pub(super) struct Link(Arc<Shared>);

struct Shared {
    address: Uri,
    tls: Option<ClientTls>,
    sender: Mutex<SendRequest<Body>>,
}

type AnyError = Box<dyn Error + Send + Sync>;

/// The most bytes of an answer's headers and trailers.
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// What a server may send before the client has read it, on all streams.
const WINDOW_BYTES: u32 = 16 << 20;

impl Link {
    /// Connects to this address, whose scheme is `https` if and only if there is TLS.
    pub(super) async fn open(address: Uri, tls: Option<&ClientTls>) -> Result<Self, AnyError> {
        let sender = Mutex::new(connect(&address, tls).await?);
        Ok(Self(Arc::new(Shared { address, tls: tls.cloned(), sender })))
    }

    /// What sends on a connection that has not ended.
    async fn sender(&self) -> Result<SendRequest<Body>, Status> {
        let Shared { address, tls, sender } = &*self.0;
        let mut sender = sender.lock().await;
        if sender.is_closed() {
            *sender = connect(address, tls.as_ref()).await.map_err(lost)?;
        }
        Ok(sender.clone())
    }

    async fn send(self, request: Request<Body>) -> Result<Response<Incoming>, Status> {
        let mut refused = match self.sender().await?.try_send_request(request).await {
            Ok(response) => return Ok(response),
            Err(refused) => refused,
        };
        // A connection that was just ending gives back what it has not sent.
        let Some(request) = refused.take_message() else {
            return Err(lost(refused.into_error().into()));
        };
        let sent = self.sender().await?.send_request(request).await;
        sent.map_err(|error| lost(error.into()))
    }
}

async fn connect(address: &Uri, tls: Option<&ClientTls>) -> Result<SendRequest<Body>, AnyError> {
    match tls {
        None => {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            shake_hands(connector, address).await
        }
        Some(tls) => shake_hands(tls.connector(Protocol::Http2), address).await,
    }
}

async fn shake_hands<C>(mut connector: C, address: &Uri) -> Result<SendRequest<Body>, AnyError>
where
    C: Service<Uri, Response: Read + Write + Unpin + Send + 'static, Error: Into<AnyError>>,
{
    poll_fn(|context| connector.poll_ready(context)).await.map_err(Into::into)?;
    let stream = connector.call(address.clone()).await.map_err(Into::into)?;
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(MAX_HEADER_BYTES)
        .handshake(stream)
        .await?;
    // How it ends is told to the calls that it carries.
    tokio::spawn(async move { _ = connection.await });
    Ok(sender)
}

/// The status of a call that has no answer, because its connection ended or could not be made: gRPC
/// calls that UNAVAILABLE. What HTTP/2 gives as a reason has a code of its own.
fn lost(error: AnyError) -> Status {
    let causes = successors(Some(&*error as &(dyn Error + 'static)), |cause| (*cause).source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    let status = Status::from_error(error);
    match status.code() {
        Code::Unknown | Code::Cancelled => {
            let mut unavailable = Status::unavailable(causes.join(": "));
            unavailable.set_source(Arc::new(status));
            unavailable
        }
        _ => status,
    }
}

impl Service<Request<Body>> for Link {
    type Response = Response<Incoming>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Status>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}
