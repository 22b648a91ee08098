//! A bound to what requests take that have not arrived whole.
//!
//! A message is put together in memory before it is looked at. Its own size is limited, but a client
//! may begin as many as it can open streams, and never end one. What comes in one piece is taken
//! even then, so that most clients do not notice.

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
use tonic::{Status, body::Body};

use super::compression::{PREFIX, prefix};

/// The bytes of all requests that have not arrived whole, and the most that they may be.
#[derive(Debug)]
pub struct Partial {
    limit: usize,
    bytes: AtomicUsize,
}

impl Partial {
    /// None yet, and at most so many.
    #[must_use]
    pub fn up_to(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, bytes: AtomicUsize::new(0) })
    }
}

/// A request's body, which counts until it is dropped: a handler does that when it has the message.
pub(crate) struct Counted {
    body: Body,
    partial: Arc<Partial>,
    bytes: usize,
}

impl Counted {
    pub(crate) fn new(body: Body, partial: Arc<Partial>) -> Self {
        Self { body, partial, bytes: 0 }
    }

    /// Counts a message that was decompressed instead of the bytes that it came in.
    ///
    /// # Errors
    ///
    /// When there is no room for it, unless the request has arrived whole.
    pub(crate) fn replace(&mut self, compressed: usize, message: usize) -> Result<(), Status> {
        self.bytes = self.bytes + message - compressed;
        let all = self.partial.bytes.fetch_add(message, Ordering::Relaxed) + message;
        self.partial.bytes.fetch_sub(compressed, Ordering::Relaxed);
        if all - compressed > self.partial.limit && !self.body.is_end_stream() {
            return Err(no_room());
        }
        Ok(())
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)?) else {
            return Poll::Ready(None);
        };
        let Some(data) = frame.data_ref() else {
            return Poll::Ready(Some(Ok(frame)));
        };
        let all = self.partial.bytes.fetch_add(data.len(), Ordering::Relaxed) + data.len();
        let first = self.bytes == 0;
        self.bytes += data.len();
        if all > self.partial.limit && !(first && is_whole(data)) {
            return Poll::Ready(Some(Err(no_room())));
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

/// Whether this is a message with its prefix.
fn is_whole(data: &[u8]) -> bool {
    prefix(data).is_some_and(|(_, length)| data.len() - PREFIX >= length)
}

fn no_room() -> Status {
    Status::resource_exhausted(
        "--max-partial-size: too many bytes of requests that have not arrived whole",
    )
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.partial.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
