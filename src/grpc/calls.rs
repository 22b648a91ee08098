//! The way of a call: `Call` goes straight to its handler, and its answer's metadata are sent
//! behind the answer, as trailers, where a leaf reads the times of a call.
//!
//! tonic's router would find the handler too, with a path to match, two bodies to box and a service
//! to clone for each call, and tonic puts a unary answer's metadata before the message. Everything
//! but `Call` goes that way.

use std::{
    convert::Infallible,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::BodyExt;
use hyperfake_proto::{
    SmallMessages,
    common::{CallRequest, CallResponse},
};
use tonic::{
    Status,
    body::Body,
    server::{Grpc, UnaryService},
    service::Routes,
};
use tower_service::Service;

use super::partial::{Counted, Partial};

/// What answers `Call`.
pub trait Answer: Send + Sync + 'static {
    /// The answer to a request.
    fn answer(&self, request: CallRequest) -> impl Future<Output = Answered> + Send;
}

/// An answer, with its trailers as metadata, or why there is none.
pub type Answered = Result<tonic::Response<CallResponse>, Status>;

/// A server's services.
#[derive(Debug)]
pub struct Calls<C> {
    controller: Arc<C>,
    max_message_bytes: usize,
    partial: Arc<Partial>,
    rest: Routes,
}

const PATH: &str = "/controller.Controller/Call";

impl<C> Calls<C> {
    /// Lets this controller answer `Call`, with messages of at most this many bytes, and these
    /// routes everything else. All requests are counted until they have arrived whole.
    pub fn new(
        controller: Arc<C>,
        max_message_bytes: usize,
        partial: Arc<Partial>,
        rest: Routes,
    ) -> Self {
        Self { controller, max_message_bytes, partial, rest }
    }
}

impl<C> Clone for Calls<C> {
    fn clone(&self) -> Self {
        let (controller, partial) = (Arc::clone(&self.controller), Arc::clone(&self.partial));
        let (max_message_bytes, rest) = (self.max_message_bytes, self.rest.clone());
        Self { controller, max_message_bytes, partial, rest }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<C: Answer> Service<Request<Body>> for Calls<C> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.rest, context)
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        let request = request.map(|body| Counted::new(body, Arc::clone(&self.partial)));
        if request.uri().path() != PATH {
            return Box::pin(self.rest.call(request.map(Body::new)));
        }
        let mut grpc =
            Grpc::new(SmallMessages::default()).max_decoding_message_size(self.max_message_bytes);
        let controller = Arc::clone(&self.controller);
        Box::pin(async move {
            let handler = Handler(|request| controller.answer(request));
            Ok(trailing(grpc.unary(handler, request).await))
        })
    }
}

/// The handler as tonic's codec asks for it.
struct Handler<F>(F);

impl<F, A> UnaryService<CallRequest> for Handler<F>
where
    F: FnMut(CallRequest) -> A,
    A: Future<Output = Answered>,
{
    type Response = CallResponse;
    type Future = A;

    fn call(&mut self, request: tonic::Request<CallRequest>) -> A {
        (self.0)(request.into_inner())
    }
}

/// Moves the headers, but for the content's type, behind the body.
fn trailing(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    // A refusal has no body, and says in its headers what it has to say.
    if headers.contains_key(Status::GRPC_STATUS) {
        return response;
    }
    let mut trailers = mem::take(headers);
    if let Some(kind) = trailers.remove(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, kind);
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| match frame.into_trailers() {
            Ok(last) => {
                let mut trailers = mem::take(&mut trailers);
                trailers.extend(last);
                Frame::trailers(trailers)
            }
            Err(data) => data,
        }))
    })
}
