use std::convert::Infallible;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::work::Function;

/// The largest request, in bytes.
const MAX_BYTES: usize = 64 << 20;
pub(crate) const GRPC: &str = "application/grpc";
/// The gRPC codes of the answers.
const OK: u8 = 0;
const UNKNOWN: u8 = 2;
const INVALID_ARGUMENT: u8 = 3;

/// Serves all connections.
pub(crate) async fn serve(listener: &TcpListener, function: Function) {
    loop {
        // A connection that cannot be accepted is the client's loss.
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, function));
        }
    }
}

async fn connection(stream: TcpStream, function: Function) {
    let mut first = [0; 4];
    let is_http2 = stream.peek(&mut first).await.is_ok_and(|read| &first[..read] == b"PRI ");
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| answer(request, function));
    let stream = TokioIo::new(stream);
    // A client that breaks the connection learns of it itself.
    if is_http2 {
        let mut server = http2::Builder::new(TokioExecutor::new());
        server.max_concurrent_streams(32_768).initial_stream_window_size(1 << 20);
        server.initial_connection_window_size(16 << 20);
        let _ = server.serve_connection(stream, service).await;
    } else {
        let _ = http1::Builder::new().serve_connection(stream, service).await;
    }
}

type Frames = StreamBody<tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

async fn answer(
    request: Request<Incoming>,
    function: Function,
) -> Result<Response<Frames>, Infallible> {
    let content = request.headers().get(CONTENT_TYPE);
    let is_grpc = content.is_some_and(|value| value.as_bytes().starts_with(GRPC.as_bytes()));
    let body = read(request.into_body()).await;
    if !is_grpc {
        return Ok(match call(function, body).await {
            Ok(answer) => plain(StatusCode::OK, answer),
            Err(text) => plain(StatusCode::INTERNAL_SERVER_ERROR, text.into()),
        });
    }
    let message = body.and_then(|body| message(&body));
    let is_message = message.is_ok();
    Ok(match call(function, message).await {
        Ok(answer) => grpc(Some(answer), OK, ""),
        Err(text) => grpc(None, if is_message { UNKNOWN } else { INVALID_ARGUMENT }, &text),
    })
}

async fn read(body: impl Body<Data = Bytes, Error = hyper::Error>) -> Result<Bytes, String> {
    let collected = Limited::new(body, MAX_BYTES).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
}

async fn call(function: Function, body: Result<Bytes, String>) -> Result<Bytes, String> {
    function.call(body?).await
}

/// The one message of a gRPC request: a byte that says whether it is compressed, its length in four bytes,
/// and itself.
fn message(body: &Bytes) -> Result<Bytes, String> {
    match body.split_first_chunk::<5>() {
        Some(([0, length @ ..], rest)) if u32::from_be_bytes(*length) as usize == rest.len() => {
            Ok(body.slice(5..))
        }
        _ => Err("expected one message that is not compressed".to_owned()),
    }
}

fn plain(status: StatusCode, body: Bytes) -> Response<Frames> {
    let mut response = Response::new(frames(vec![Frame::data(body)]));
    *response.status_mut() = status;
    response
}

fn grpc(message: Option<Bytes>, code: u8, text: &str) -> Response<Frames> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    if let Ok(text) = HeaderValue::from_str(text)
        && !text.is_empty()
    {
        trailers.insert("grpc-message", text);
    }
    let data = message.map(|message| Frame::data(framed(&message)));
    let mut response =
        Response::new(frames(data.into_iter().chain([Frame::trailers(trailers)]).collect()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

/// A message as gRPC has it, not compressed.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut data = BytesMut::with_capacity(5 + message.len());
    data.put_u8(0);
    data.put_u32(message.len() as u32);
    data.put(message);
    data.freeze()
}

fn frames(frames: Vec<Frame<Bytes>>) -> Frames {
    let frames: Vec<_> = frames.into_iter().map(Ok).collect();
    StreamBody::new(tokio_stream::iter(frames))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_message_of_the_length_that_it_states() {
        let request = |bytes: &'static [u8]| message(&Bytes::from_static(bytes));
        assert_eq!(request(b"\0\0\0\0\x02hi").unwrap(), "hi");
        assert_eq!(request(b"\0\0\0\0\0").unwrap(), "");
        for bad in
            [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x03hi", b"\0\0\0\0\x01hi", b"\x01\0\0\0\x02hi"]
        {
            assert!(message(&Bytes::copy_from_slice(bad)).is_err(), "{bad:?}");
        }
    }
}
