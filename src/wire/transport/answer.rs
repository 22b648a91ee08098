//! What an answer holds until it is handed to the kernel or its stream is gone.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body};

use super::{
    account::{Account, Charge, Full, REQUEST_BYTES, STREAM_BYTES},
    endpoint::ResponseFuture,
};

/// A response whose answer will be charged.
pub(super) struct MeteredResponse {
    response: ResponseFuture,
    /// Until the response is ready.
    account: Option<Account>,
}

/// An answer that is charged: each message while it is not sent, and a stream of messages while it
/// waits for its next one. An answer that does not fit ends with `ResourceExhausted` instead.
pub(super) struct Answer {
    body: Body,
    /// Until the answer was refused.
    account: Option<Account>,
    waiting: Option<Charge>,
}

impl MeteredResponse {
    pub(super) fn new(response: ResponseFuture, account: Account) -> Self {
        Self { response, account: Some(account) }
    }
}

impl Future for MeteredResponse {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = ready!(self.response.as_mut().poll(context));
        let account = self.account.take();
        Poll::Ready(Ok(response.map(|body| Answer { body, account, waiting: None })))
    }
}

impl Answer {
    /// The last frame, for a client that holds too much.
    fn refuse(&mut self, full: Full) -> Result<Frame<Bytes>, Status> {
        self.account = None;
        self.body = Body::empty();
        let mut trailers = HeaderMap::new();
        Status::from(full).add_header(&mut trailers)?;
        Ok(Frame::trailers(trailers))
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let me = &mut *self;
        let Some(account) = &me.account else { return Poll::Ready(None) };
        let frame = match Pin::new(&mut me.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Pending if me.waiting.is_none() => {
                return match account.charge(STREAM_BYTES) {
                    Ok(charge) => {
                        me.waiting = Some(charge);
                        Poll::Pending
                    }
                    Err(full) => Poll::Ready(Some(me.refuse(full))),
                };
            }
            other => return other,
        };
        let frame = frame.into_data().map(|data| account.hold(data, REQUEST_BYTES));
        Poll::Ready(Some(match frame {
            Ok(Ok(data)) => Ok(Frame::data(data)),
            Ok(Err(full)) => me.refuse(full),
            Err(trailers) => Ok(trailers),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
