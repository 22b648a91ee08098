//! What every request passes before its service.

use std::{future::ready, sync::Arc};

use http::Request;
use hyper::body::Incoming;

use super::{
    compression::{Decompressed, Encoding, GRPC_ENCODING},
    deadline,
    endpoint::{ResponseFuture, Service},
    inflight::{InflightBytes, MeteredBody},
    limits::MessageLimits,
};
use crate::clock::Clock;

/// The limits of the requests on one call thread.
#[derive(Debug, Clone)]
pub(super) struct RequestLimits {
    pub(super) messages: MessageLimits,
    /// Counts the bytes of all threads.
    pub(super) inflight: Arc<InflightBytes>,
    /// The thread's clock, for deadlines.
    pub(super) clock: Clock,
}

/// A service behind the limits of its thread: a request is metered and decompressed, and ends at
/// its deadline.
pub(super) struct LimitedService<S> {
    pub(super) limits: RequestLimits,
    pub(super) service: S,
}

impl<S: Service> hyper::service::Service<Request<Incoming>> for LimitedService<S> {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<Incoming>) -> ResponseFuture {
        let Self { limits, service } = self;
        let timeout = deadline::timeout(request.headers());
        let encoding = Encoding::of(request.headers());
        let mut request = request.map(|body| MeteredBody::new(body, Arc::clone(&limits.inflight)));
        let response: ResponseFuture = match encoding {
            Ok(None) => service.respond(request),
            Ok(Some(encoding)) => {
                // tonic must not decompress the messages again.
                request.headers_mut().remove(&GRPC_ENCODING);
                let max_bytes = limits.messages.max_bytes;
                service.respond(request.map(|body| Decompressed::new(body, encoding, max_bytes)))
            }
            Err(refusal) => Box::pin(ready(Ok(refusal.into_http()))),
        };
        match timeout {
            None => response,
            Some(timeout) => deadline::within(timeout, response, &limits.clock),
        }
    }
}
