//! What every request passes before its service.

use std::future::ready;

use http::{
    HeaderMap, Request,
    header::{CONTENT_TYPE, TE, USER_AGENT},
};
use hyper::body::Incoming;
use tonic::Status;

use super::{
    account::{Account, REQUEST_BYTES},
    answer::{Answer, MeteredResponse},
    compression::{Decompressed, Encoding, GRPC_ACCEPT_ENCODING, GRPC_ENCODING},
    deadline::{self, GRPC_TIMEOUT},
    endpoint::{ResponseFuture, Service},
    inflight::MeteredBody,
    limits::MessageLimits,
};
use crate::clock::Clock;

/// The limits of the requests on one call thread.
#[derive(Debug, Clone)]
pub(super) struct RequestLimits {
    pub(super) messages: MessageLimits,
    /// The thread's clock, for deadlines.
    pub(super) clock: Clock,
}

/// A connection's service behind the limits of its thread: a request is metered and decompressed,
/// and ends at its deadline; its answer is metered.
pub(super) struct LimitedService<S> {
    pub(super) limits: RequestLimits,
    pub(super) account: Account,
    pub(super) service: S,
}

/// A request with more headers than this loses those that nothing here reads. Their size is limited,
/// but in memory each takes as much as a hundred bytes on the wire.
const MAX_HEADERS: usize = 64;

impl<S: Service> LimitedService<S> {
    fn respond(&self, mut request: Request<Incoming>) -> ResponseFuture {
        let Self { limits, account, service } = self;
        let refuse =
            |refusal: Status| -> ResponseFuture { Box::pin(ready(Ok(refusal.into_http()))) };
        let charge = match account.charge(REQUEST_BYTES) {
            Ok(charge) => charge,
            Err(full) => return refuse(full.into()),
        };
        if request.headers().len() > MAX_HEADERS {
            keep_known(request.headers_mut());
        }
        let timeout = deadline::timeout(request.headers());
        let encoding = Encoding::of(request.headers());
        let mut request = request.map(|body| MeteredBody::new(body, charge));
        let response: ResponseFuture = match encoding {
            Ok(None) => service.respond(request),
            Ok(Some(encoding)) => {
                // tonic must not decompress the messages again.
                request.headers_mut().remove(&GRPC_ENCODING);
                let max_bytes = limits.messages.max_bytes;
                service.respond(request.map(|body| Decompressed::new(body, encoding, max_bytes)))
            }
            Err(refusal) => refuse(refusal),
        };
        match timeout {
            None => response,
            Some(timeout) => deadline::within(timeout, response, &limits.clock),
        }
    }
}

impl<S: Service> hyper::service::Service<Request<Incoming>> for LimitedService<S> {
    type Response = http::Response<Answer>;
    type Error = std::convert::Infallible;
    type Future = MeteredResponse;

    fn call(&self, request: Request<Incoming>) -> MeteredResponse {
        MeteredResponse::new(self.respond(request), self.account.clone())
    }
}

/// Keeps the headers that gRPC defines.
fn keep_known(headers: &mut HeaderMap) {
    let names = [
        CONTENT_TYPE,
        TE,
        USER_AGENT,
        GRPC_ENCODING.clone(),
        GRPC_ACCEPT_ENCODING.clone(),
        GRPC_TIMEOUT.clone(),
    ];
    let known = names.into_iter().filter_map(|name| {
        let value = headers.get(&name)?.clone();
        Some((name, value))
    });
    *headers = known.collect();
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_known_headers_are_kept_and_their_map_is_small() {
        let mut headers = HeaderMap::new();
        for number in 0..1000 {
            headers.append("x", HeaderValue::from(number));
        }
        headers.insert(GRPC_TIMEOUT.clone(), HeaderValue::from_static("1S"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        keep_known(&mut headers);
        assert_eq!(headers.len(), 2);
        assert!(headers.capacity() < 20);
    }
}
