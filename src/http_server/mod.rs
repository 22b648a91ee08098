//! HTTP beside the calls: the function registry and the page for people are served through here.
//!
//! Whatever clients do, a side holds a bounded number of connections with bounded buffers, and a
//! connection on which nothing is asked and answered is closed ([`Limits`]). When there is no place
//! for another connection, the one that was of use the longest ago is closed: no client has to wait for
//! a client that holds connections.

mod browsers;
mod places;
mod progress;

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::DefaultBodyLimit,
    http::{Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

pub use self::browsers::{Hosts, host, refuse_browsers};
use self::{
    places::{Place, Places},
    progress::Progress,
};
use crate::{
    peer::peer,
    tls::{Protocol, ServerTls, Stream},
};

/// What a side takes of its clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most connections.
    pub connections: usize,
    /// The most connections of one peer: an IPv4 address, or a network of 64 bits of IPv6.
    pub peer_connections: usize,
    /// The most bytes of a request's body; a longer one is answered with 413.
    pub body_bytes: usize,
    /// A connection that sends no whole head of a request for so long is closed.
    pub head_time: Duration,
    /// A request that is not answered for so long, because its body does not come, gets 408.
    pub body_time: Duration,
    /// A connection on which nothing was answered for so long is closed after twice this at most,
    /// such as one whose client does not read. Each part of an answer that is sent in parts counts.
    pub idle_time: Duration,
}

impl Limits {
    /// Of so many connections, and of a body of so many bytes.
    #[must_use]
    pub const fn new(connections: usize, body_bytes: usize) -> Self {
        Self {
            connections,
            peer_connections: connections / 2,
            body_bytes,
            head_time: Duration::from_secs(30),
            body_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(30),
        }
    }
}

/// The buffer of a connection, and so the longest head of a request.
const BUFFER: usize = 16 * 1024;
/// The most header fields of a request.
const MAX_HEADERS: usize = 64;
/// After an error of the system, such as too few descriptors, connections are taken again after
/// this time.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Answers requests on these listeners, with TLS if it is given, until the runtime ends. The log calls
/// it by this name.
pub fn serve(
    name: &'static str,
    listeners: Vec<TcpListener>,
    router: Router,
    limits: Limits,
    tls: Option<&ServerTls>,
) {
    let router = router.layer(DefaultBodyLimit::max(limits.body_bytes));
    let places = Places::new(limits.connections, limits.peer_connections);
    for listener in listeners {
        let (router, places, tls) = (router.clone(), Arc::clone(&places), tls.cloned());
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, address)) => {
                        let place = places.enter(peer(address));
                        // An answer must not wait for more data.
                        let _ = stream.set_nodelay(true);
                        let stream = Stream::accepted(stream, tls.as_ref(), Protocol::Http1);
                        tokio::spawn(serve_connection(stream, router.clone(), place, limits));
                    }
                    Err(error) if is_the_clients(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "{name} cannot take a connection");
                        back_off().await;
                    }
                }
            }
        });
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

#[expect(clippy::disallowed_methods, reason = "a whole second is exact enough here")]
async fn back_off() {
    tokio::time::sleep(BACK_OFF).await;
}

async fn serve_connection(stream: Stream<TcpStream>, router: Router, place: Place, limits: Limits) {
    let service = service_fn(|request| answer(router.clone(), request, &place, limits.body_time));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(BUFFER)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let used = async {
        let mut answered = place.answered();
        while tokio::time::timeout(limits.idle_time, &mut connection).await.is_err() {
            if place.answered() == answered {
                return;
            }
            answered = place.answered();
        }
    };
    tokio::select! {
        () = used => {}
        () = place.lost() => {}
    }
}

async fn answer(
    mut router: Router,
    request: Request<Incoming>,
    place: &Place,
    body_time: Duration,
) -> Result<Response, Infallible> {
    let answer = tokio::time::timeout(body_time, router.call(request.map(Body::new))).await;
    place.used().answer();
    let answer = answer.unwrap_or_else(|_| {
        let within = body_time.as_secs();
        let text = format!(
            "{{\"error\": \"found a part of the request's body, expected all of it within {within} s\"}}"
        );
        let close = [(header::CONNECTION, "close"), (header::CONTENT_TYPE, "application/json")];
        Ok((StatusCode::REQUEST_TIMEOUT, close, text).into_response())
    });
    answer.map(|answer| answer.map(|body| Body::new(Progress::new(body, place.used()))))
}

#[cfg(test)]
mod tests;
