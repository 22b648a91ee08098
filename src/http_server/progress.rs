use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};

use super::places::Used;

/// An answer whose parts keep its connection alive as they are taken: of an answer without an end, a
/// client that reads on is of use, and one that does not is not.
#[derive(Debug)]
pub(super) struct Progress {
    body: Body,
    used: Used,
}

impl Progress {
    pub(super) fn new(body: Body, used: Used) -> Self {
        Self { body, used }
    }
}

impl http_body::Body for Progress {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // It is asked for a part only while there is room for it.
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(_))) = frame {
            self.used.answer();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
