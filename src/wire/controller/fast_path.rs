//! The way of a call: `Call` goes straight to its handler, and its answer's metadata are sent
//! behind the answer, as trailers, where a leaf reads the times of a call.
//!
//! tonic's router would find the handler too, with a path to match, two bodies to box and a service
//! to clone for each call, and tonic puts a unary answer's metadata before the message. Everything
//! but `Call` goes that way.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use hyperfake_proto::{
    SmallMessages,
    common::{CallRequest, CallResponse},
};
use parking_lot::Mutex;
use tonic::{
    Status,
    body::Body,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    server::{Grpc, UnaryService},
    service::Routes,
};
use tower_service::Service;

use crate::{
    clock::Clock,
    wire::transport::{
        compression::{Decompressed, Encoding, GRPC_ENCODING, too_large},
        deadline,
        inflight::{Counted, Partial},
    },
};

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
    messages: Messages,
    partial: Arc<Partial>,
    clock: Clock,
    rest: Routes,
}

/// What messages may be.
#[derive(Debug, Clone, Copy)]
pub struct Messages {
    /// The most bytes of one that is taken, decompressed.
    pub max_bytes: usize,
    /// Whether answers are compressed for a client that takes them so.
    pub compress_answers: bool,
}

impl Messages {
    /// The ways in which answers are compressed, for a client that takes one of them.
    pub(crate) fn answer_encodings(self) -> impl Iterator<Item = CompressionEncoding> {
        let both = [CompressionEncoding::Gzip, CompressionEncoding::Deflate];
        both.into_iter().filter(move |_| self.compress_answers)
    }
}

const PATH: &str = "/controller.Controller/Call";

impl<C> Calls<C> {
    /// Lets this controller answer `Call`, and these routes everything else. All requests are
    /// counted until they have arrived whole, and end at their deadline by this clock.
    pub fn new(
        controller: Arc<C>,
        messages: Messages,
        partial: Arc<Partial>,
        clock: Clock,
        rest: Routes,
    ) -> Self {
        Self { controller, messages, partial, clock, rest }
    }
}

impl<C> Clone for Calls<C> {
    fn clone(&self) -> Self {
        let (controller, partial) = (Arc::clone(&self.controller), Arc::clone(&self.partial));
        let (clock, rest) = (self.clock.clone(), self.rest.clone());
        Self { controller, messages: self.messages, partial, clock, rest }
    }
}

/// The answer to a request, on its way.
pub(crate) type Answering =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<C: Answer> Service<Request<Body>> for Calls<C> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.rest, context)
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        let timeout = deadline::timeout(request.headers());
        let encoding = Encoding::of(request.headers());
        let mut request = request.map(|body| Counted::new(body, Arc::clone(&self.partial)));
        let answering: Answering = match encoding {
            Ok(None) => self.answer(request),
            Ok(Some(encoding)) => {
                request.headers_mut().remove(&GRPC_ENCODING);
                let max_bytes = self.messages.max_bytes;
                self.answer(request.map(|body| Decompressed::new(body, encoding, max_bytes)))
            }
            Err(refusal) => Box::pin(ready(Ok(refusal.into_http()))),
        };
        match timeout {
            None => answering,
            Some(timeout) => deadline::within(timeout, answering, &self.clock),
        }
    }
}

impl<C: Answer> Calls<C> {
    fn answer<B>(&mut self, request: Request<B>) -> Answering
    where
        B: http_body::Body<Data = Bytes, Error = Status> + Send + 'static,
    {
        if request.uri().path() != PATH {
            let answering = self.rest.call(request.map(Body::new));
            return Box::pin(async move { answering.await.map(exhausted) });
        }
        let messages = self.messages;
        let mut grpc =
            Grpc::new(SmallMessages::default()).max_decoding_message_size(messages.max_bytes);
        for encoding in messages.answer_encodings() {
            grpc = grpc.send_compressed(encoding);
        }
        let controller = Arc::clone(&self.controller);
        Box::pin(async move {
            // What tonic does not see, it neither looks through nor sends too early.
            let trailers = Mutex::new(None);
            let response = {
                let (controller, trailers) = (&*controller, &trailers);
                let handler = Handler(|request| async move {
                    controller.answer(request).await.map(|answer| {
                        let (metadata, response, extensions) = answer.into_parts();
                        *trailers.lock() = Some(metadata.into_headers());
                        tonic::Response::from_parts(MetadataMap::new(), response, extensions)
                    })
                });
                grpc.unary(handler, request).await
            };
            Ok(match trailers.into_inner() {
                Some(trailers) => trailing(response, trailers),
                None => exhausted(response),
            })
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

/// Puts these behind the body, before tonic's own.
fn trailing(response: Response<Body>, trailers: HeaderMap) -> Response<Body> {
    let mut trailers = Some(trailers);
    response.map(|body| {
        Body::new(body.map_frame(move |frame| match frame.into_trailers() {
            Ok(last) => {
                let mut trailers = trailers.take().unwrap_or_default();
                trailers.extend(last);
                Frame::trailers(trailers)
            }
            Err(data) => data,
        }))
    })
}

/// The refusal of a message that is too large has the code that the other implementations of gRPC
/// give it; tonic's is `OutOfRange`, which nothing here says for another reason.
fn exhausted(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if headers.get(Status::GRPC_STATUS).is_none_or(|code| code != OUT_OF_RANGE) {
        return response;
    }
    let status = Status::from_header_map(headers);
    let text = status.as_ref().map(Status::message).unwrap_or_default();
    // Such as "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes".
    too_large(text.split_once(": ").map_or(text, |(_, numbers)| numbers)).into_http()
}

/// The code `OutOfRange` in a header.
const OUT_OF_RANGE: &str = "11";
