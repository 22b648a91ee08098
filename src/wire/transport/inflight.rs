//! A bound on the memory of requests that have not arrived completely.
//!
//! A message is collected in memory before it is decoded. Its size is limited, but a client can
//! begin as many messages as it can open streams, and never finish one. At the bound, a message that
//! arrives in one piece is still accepted, so that most clients do not notice.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;

use super::compression::{PREFIX_BYTES, prefix};
use crate::wire::status::Limit;

/// The bytes of all requests that have not arrived completely, and their limit.
#[derive(Debug)]
pub(super) struct InflightBytes {
    limit: usize,
    /// Shared by all threads, because the memory is. Changed once for each piece of a request.
    bytes: AtomicUsize,
}

impl InflightBytes {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, bytes: AtomicUsize::new(0) })
    }

    fn exhausted(&self) -> Status {
        let limit = self.limit;
        let message = format!("too many bytes of requests in flight, at most {limit}");
        Limit::InflightBytes.exceeded(message)
    }
}

/// A request's body, whose bytes are in flight until it is dropped: a handler drops it when it has
/// the message.
pub(super) struct MeteredBody {
    body: Incoming,
    inflight: Arc<InflightBytes>,
    bytes: usize,
}

impl MeteredBody {
    pub(super) fn new(body: Incoming, inflight: Arc<InflightBytes>) -> Self {
        Self { body, inflight, bytes: 0 }
    }

    /// Counts the bytes of a decompressed message instead of the compressed ones.
    ///
    /// # Errors
    ///
    /// When that exceeds the limit, unless the request has arrived completely.
    pub(super) fn replace(&mut self, compressed: usize, message: usize) -> Result<(), Status> {
        self.bytes = self.bytes + message - compressed;
        let all = self.inflight.bytes.fetch_add(message, Ordering::Relaxed) + message;
        self.inflight.bytes.fetch_sub(compressed, Ordering::Relaxed);
        if all - compressed > self.inflight.limit && !self.body.is_end_stream() {
            return Err(self.inflight.exhausted());
        }
        Ok(())
    }
}

impl http_body::Body for MeteredBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(Status::from_error(error.into())))),
            Some(Ok(frame)) => frame,
        };
        let Some(data) = frame.data_ref() else {
            return Poll::Ready(Some(Ok(frame)));
        };
        let all = self.inflight.bytes.fetch_add(data.len(), Ordering::Relaxed) + data.len();
        let is_first = self.bytes == 0;
        self.bytes += data.len();
        if all > self.inflight.limit && !(is_first && is_complete(data)) {
            return Poll::Ready(Some(Err(self.inflight.exhausted())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether this is a complete message with its prefix.
fn is_complete(data: &[u8]) -> bool {
    prefix(data).is_some_and(|(_, length)| data.len() - PREFIX_BYTES >= length)
}

impl Drop for MeteredBody {
    fn drop(&mut self) {
        self.inflight.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
