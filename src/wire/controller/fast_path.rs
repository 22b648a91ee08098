//! The short path of `Call`: its requests go straight to their handler, and the response's metadata
//! are sent after the message, as trailers, where a leaf reads them.
//!
//! tonic's router would find the handler too, but it matches a path, boxes two bodies and clones a
//! service for each call, and tonic sends a unary response's metadata before the message. All other
//! methods use the router.

use std::sync::Arc;

use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use hyperfake_proto::{
    SmallMessages,
    controller::common::{CallRequest, CallResponse},
};
use parking_lot::Mutex;
use tonic::{
    Status,
    body::Body,
    metadata::MetadataMap,
    server::{Grpc, UnaryService},
    service::Routes,
};

use crate::wire::{
    status::{drops_connection, with_common_codes},
    transport::{MessageLimits, RequestBody, ResponseFuture, Service},
};

/// Answers `Call`.
pub trait CallHandler: Send + Sync + 'static {
    /// What a request asks to go wrong by its headers, which are gone when it is answered.
    fn fault_asked(&self, _request: &CallRequest, _headers: &HeaderMap) -> Option<Box<str>> {
        None
    }

    /// Answers a request, with the fault that it asks for.
    fn call(
        &self,
        request: CallRequest,
        fault: Option<Box<str>>,
    ) -> impl Future<Output = CallResult> + Send;
}

/// A response whose metadata are its trailers, or the reason that there is none.
pub type CallResult = Result<tonic::Response<CallResponse>, Status>;

/// The service `controller.Controller`, and what else is served beside it.
#[derive(Debug)]
pub struct CallFastPath<H> {
    handler: Arc<H>,
    messages: MessageLimits,
    others: Routes,
}

const CALL_PATH: &str = "/controller.Controller/Call";

impl<H> CallFastPath<H> {
    /// Sends `Call` to this handler, and every other request to these routes.
    pub fn new(handler: Arc<H>, messages: MessageLimits, others: Routes) -> Self {
        Self { handler, messages, others }
    }
}

impl<H> Clone for CallFastPath<H> {
    fn clone(&self) -> Self {
        let (handler, others) = (Arc::clone(&self.handler), self.others.clone());
        Self { handler, messages: self.messages, others }
    }
}

impl<H: CallHandler> Service for CallFastPath<H> {
    fn respond<B: RequestBody>(&self, request: Request<B>) -> ResponseFuture {
        if request.uri().path() != CALL_PATH {
            return self.others.respond(request);
        }
        let messages = self.messages;
        let mut grpc =
            Grpc::new(SmallMessages::default()).max_decoding_message_size(messages.max_bytes);
        for encoding in messages.response_encodings() {
            grpc = grpc.send_compressed(encoding);
        }
        let handler = Arc::clone(&self.handler);
        let account = request.body().account().clone();
        Box::pin(async move {
            // Taken from the response before tonic sees it: tonic would send them too early.
            let trailers = Mutex::new(None);
            let response = {
                let (handler, trailers) = (&*handler, &trailers);
                let account = &account;
                let unary = Unary(|request: tonic::Request<CallRequest>| {
                    // A call may run for minutes, and does not need its headers any more.
                    let (metadata, _, mut request) = request.into_parts();
                    let fault = handler.fault_asked(&request, metadata.as_ref());
                    async move {
                        request.data = account.keep(request.data)?;
                        let answered = handler.call(request, fault).await;
                        if answered.as_ref().is_err_and(drops_connection) {
                            account.cut();
                        }
                        answered.map(|response| {
                            let (metadata, message, extensions) = response.into_parts();
                            *trailers.lock() = Some(metadata.into_headers());
                            tonic::Response::from_parts(MetadataMap::new(), message, extensions)
                        })
                    }
                });
                grpc.unary(unary, request).await
            };
            Ok(match trailers.into_inner() {
                Some(trailers) => headers_to_trailers(response, trailers),
                None => with_common_codes(response),
            })
        })
    }
}

/// A handler in the form that tonic's codec asks for.
struct Unary<F>(F);

impl<F, R> UnaryService<CallRequest> for Unary<F>
where
    F: FnMut(tonic::Request<CallRequest>) -> R,
    R: Future<Output = CallResult>,
{
    type Response = CallResponse;
    type Future = R;

    fn call(&mut self, request: tonic::Request<CallRequest>) -> R {
        (self.0)(request)
    }
}

/// Sends these headers after the body, before tonic's own trailers.
fn headers_to_trailers(response: Response<Body>, headers: HeaderMap) -> Response<Body> {
    let mut headers = Some(headers);
    response.map(|body| {
        Body::new(body.map_frame(move |frame| match frame.into_trailers() {
            Ok(last) => {
                let mut trailers = headers.take().unwrap_or_default();
                trailers.extend(last);
                Frame::trailers(trailers)
            }
            Err(data) => data,
        }))
    })
}
