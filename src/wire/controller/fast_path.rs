//! The short path of `Call`: its requests go straight to their handler, and what the platform reads of a call
//! is sent after the message, as trailers.
//!
//! tonic's router would find the handler too, but it matches a path, boxes two bodies and clones a
//! service for each call, tonic sends a unary response's metadata before the message, and its codec keeps
//! two kilobytes for a call while that runs. All other methods use the router.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use hyperfake_proto::controller::common::{CallRequest, CallResponse};
use prost::Message;
use tonic::{Status, service::Routes};

use crate::wire::{
    message,
    status::drops_connection,
    transport::{Account, MessageLimits, RequestBody, ResponseFuture, Service},
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

/// A response and its trailers, with its status, or the reason that there is none.
pub type CallResult = Result<(CallResponse, HeaderMap), Status>;

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

    /// The same, with another handler that is made from this one's.
    pub(crate) fn with_handler(self, make: impl FnOnce(&H) -> H) -> Self {
        Self { handler: Arc::new(make(&self.handler)), ..self }
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
        let handler = Arc::clone(&self.handler);
        let (request, body) = request.into_parts();
        let (headers, account) = (request.headers, body.account().clone());
        let encoding = self.messages.response_encoding(&headers);
        let mut message = message::First::new(body, self.messages.max_bytes);
        Box::pin(async move {
            let mut request = (&mut message).await;
            if let Ok(Some(_)) = request
                && let Err(refusal) = message.rest().await
            {
                request = Err(refusal);
            }
            // Its body is not counted any more when its message is.
            drop(message);
            let request = request.and_then(|message| read(message, &account));
            let request = request.map(|request| (handler.fault_asked(&request, &headers), request));
            // A call may run for minutes, and does not need its headers any more.
            drop(headers);
            let answer = match request {
                Ok((fault, request)) => handler.call(request, fault).await,
                Err(refusal) => Err(refusal),
            };
            let response = answer
                .and_then(|(response, trailers)| message::encoded(&response, encoding, trailers));
            Ok(response.unwrap_or_else(|status| {
                if drops_connection(&status) {
                    account.cut();
                }
                status.into_http()
            }))
        })
    }
}

/// The request in a message. What the call keeps of it is counted.
fn read(message: Option<Bytes>, account: &Account) -> Result<CallRequest, Status> {
    let message = message.ok_or_else(|| Status::internal("a request without a message"))?;
    let request = CallRequest::decode(message);
    let mut request = request.map_err(|error| Status::internal(error.to_string()))?;
    request.data = account.keep(request.data)?;
    Ok(request)
}
