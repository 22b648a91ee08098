//! Messages as gRPC frames them: a byte that says whether the message is compressed, four with its
//! length, and the message. For the requests that come often; all others have tonic's codec.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::BodyExt;
use prost::Message;
use tonic::{Status, body::Body};

use super::{
    status::message_too_large,
    transport::{Encoding, GRPC_ENCODING, PREFIX_BYTES},
};

/// Reads the first message of a request, of at most so many bytes, if there is one. What follows is not read,
/// unless [`First::rest`] is asked for.
pub(super) struct First<B> {
    body: B,
    max_bytes: usize,
    /// What has come of a message that is not whole.
    partial: BytesMut,
}

impl<B> First<B> {
    pub(super) fn new(body: B, max_bytes: usize) -> Self {
        Self { body, max_bytes, partial: BytesMut::new() }
    }
}

impl<B: http_body::Body<Data = Bytes, Error = Status> + Unpin> First<B> {
    /// Whether nothing follows.
    pub(super) fn is_last(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Reads what follows to its end, and drops it. A client that is answered before it has ended its request
    /// gets its stream reset, which not every one takes for an answer.
    pub(super) async fn rest(&mut self) -> Result<(), Status> {
        while let Some(frame) = self.body.frame().await {
            frame?;
        }
        Ok(())
    }
}

impl<B> Future for First<B>
where
    B: http_body::Body<Data = Bytes, Error = Status> + Unpin,
{
    type Output = Result<Option<Bytes>, Status>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { body, max_bytes, partial } = &mut *self;
        loop {
            let frame = ready!(Pin::new(&mut *body).poll_frame(context)).transpose()?;
            // Trailers end a request as well.
            let Some(data) = frame.and_then(|frame| frame.into_data().ok()) else {
                return Poll::Ready(match partial.is_empty() {
                    true => Ok(None),
                    false => Err(Status::internal("the request ends inside a message")),
                });
            };
            if partial.is_empty()
                && let Some(length) = length(&data, *max_bytes)?
                && data.len() >= PREFIX_BYTES + length
            {
                return Poll::Ready(Ok(Some(data.slice(PREFIX_BYTES..PREFIX_BYTES + length))));
            }
            partial.extend_from_slice(&data);
            if let Some(length) = length(partial, *max_bytes)?
                && partial.len() >= PREFIX_BYTES + length
            {
                let message = std::mem::take(partial).freeze();
                return Poll::Ready(Ok(Some(message.slice(PREFIX_BYTES..PREFIX_BYTES + length))));
            }
        }
    }
}

/// The length of the message that begins with these bytes, once they say it.
fn length(data: &[u8], max_bytes: usize) -> Result<Option<usize>, Status> {
    let Some(([is_compressed, length @ ..], _)) = data.split_first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    if *is_compressed != 0 {
        // The transport has decompressed what grpc-encoding names.
        return Err(Status::internal(
            "a message is marked as compressed, expected the header grpc-encoding to say how",
        ));
    }
    let length = u32::from_be_bytes(*length) as usize;
    if length > max_bytes {
        let found = format!("found {length} bytes, expected at most {max_bytes}");
        return Err(message_too_large(found));
    }
    Ok(Some(length))
}

/// The response with this message and these trailers. It is never compressed: a leaf passes on what
/// its client accepts, and cannot read it itself.
pub(super) fn response(message: Bytes, trailers: HeaderMap) -> Response<Body> {
    /// A message up to this length is copied behind its prefix; one frame costs less than two.
    const COPIED: usize = 16 << 10;
    static EMPTY: [u8; PREFIX_BYTES] = [0; PREFIX_BYTES];
    let (first, second) = match message.len() {
        0 => (Bytes::from_static(&EMPTY), Bytes::new()),
        length => {
            let copied = length <= COPIED;
            let mut first = BytesMut::with_capacity(PREFIX_BYTES + if copied { length } else { 0 });
            first.put_u8(0);
            first.put_u32(length as u32);
            if copied {
                first.put_slice(&message);
            }
            (first.freeze(), if copied { Bytes::new() } else { message })
        }
    };
    answer([first, second], trailers)
}

/// The response with this message, compressed in this way if there is one, and these trailers.
///
/// # Errors
///
/// `ResourceExhausted` for a message whose length gRPC cannot state.
pub(super) fn encoded(
    message: &impl Message,
    encoding: Option<Encoding>,
    trailers: HeaderMap,
) -> Result<Response<Body>, Status> {
    let length = message.encoded_len();
    let stated = u32::try_from(length).map_err(|_| {
        let most = u32::MAX;
        let found = format!("found an answer of {length} bytes, expected at most {most}");
        Status::resource_exhausted(found)
    })?;
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + length);
    framed.put_u8(0);
    framed.put_u32(stated);
    message.encode(&mut framed).map_err(|error| Status::internal(error.to_string()))?;
    let framed = framed.freeze();
    Ok(match encoding {
        None => answer([framed, Bytes::new()], trailers),
        Some(encoding) => {
            let compressed = encoding.compress(&framed[PREFIX_BYTES..])?;
            let mut response = answer([compressed, Bytes::new()], trailers);
            response.headers_mut().insert(&GRPC_ENCODING, encoding.name());
            response
        }
    })
}

fn answer(data: [Bytes; 2], trailers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::new(Answer { data, trailers: Some(trailers) }));
    *response.headers_mut() = HEADERS.clone();
    response
}

/// The headers of every answer. A copy is smaller than a map to which they are added, and made faster.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))])
});

struct Answer {
    data: [Bytes; 2],
    trailers: Option<HeaderMap>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        for data in &mut self.data {
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(data)))));
            }
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use http_body_util::StreamBody;
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: Vec<Vec<u8>>, max_bytes: usize) -> Result<Option<Bytes>, Status> {
        let frames = pieces.into_iter().map(|piece| Ok(Frame::data(Bytes::from(piece))));
        let body = StreamBody::new(tokio_stream::iter(frames.collect::<Vec<_>>()));
        let mut reading = pin!(First::new(body, max_bytes));
        match reading.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(read) => read,
            Poll::Pending => panic!("all pieces are there"),
        }
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
    }

    proptest! {
        #[test]
        fn a_message_is_read_however_it_is_cut(
            message in prop::collection::vec(any::<u8>(), 0..100),
            following in prop::collection::vec(any::<u8>(), 0..20),
            cuts in prop::collection::vec(0..120usize, 0..6),
        ) {
            let mut rest = [framed(&message), following].concat();
            let mut pieces = Vec::new();
            for cut in cuts {
                let after = rest.split_off(cut.min(rest.len()));
                pieces.push(std::mem::replace(&mut rest, after));
            }
            pieces.push(rest);
            prop_assert_eq!(&read(pieces, 100).unwrap().unwrap()[..], &message[..]);
        }

        #[test]
        fn any_bytes_are_a_message_or_refused(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5),
        ) {
            let _ = read(pieces, 10);
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert_eq!(read(vec![], 10).unwrap(), None);
        for (pieces, expected) in [
            (vec![framed(b"12345678901")], "found 11 bytes, expected at most 10"),
            (vec![vec![0, 0xff, 0xff, 0xff, 0xff]], "found 4294967295 bytes"),
            (vec![vec![1, 0, 0, 0, 0]], "marked as compressed"),
            (vec![vec![0, 0]], "ends inside a message"),
            (vec![vec![0, 0, 0, 0, 2, 9]], "ends inside a message"),
        ] {
            let error = read(pieces, 10).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        }
    }
}
