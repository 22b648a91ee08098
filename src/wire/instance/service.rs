use std::{future::ready, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE,
    uri::PathAndQuery,
};
use tokio::{sync::Notify, task::JoinSet};
use tonic::{Status, body::Body, service::Routes};

use super::{addresses::InstanceAddresses, listen::OnStop};
use crate::{
    clock::Clock,
    wire::{
        ThreadContext,
        controller::trailers,
        message,
        standard::reflection,
        status::{drops_connection, message_too_large, status},
        transport::{
            Account, Connection, Ending, Endpoint, MessageLimits, RequestBody, ResponseFuture,
            Service,
        },
    },
    worker::{EventKind, Executor, Instance, Outcome},
};

/// The addresses of all instances of a process.
#[derive(Debug)]
pub(crate) struct InstanceEndpoint {
    pub(crate) addresses: Arc<InstanceAddresses>,
    pub(crate) messages: MessageLimits,
    pub(crate) on_stop: OnStop,
}

impl Endpoint<ThreadContext> for InstanceEndpoint {
    type Service = InstanceService;

    fn service(&self, thread: &ThreadContext, connection: &Connection) -> InstanceService {
        let address = connection.local_address().ok();
        let found = address.and_then(|address| self.addresses.find(address));
        match found {
            None => {
                InstanceService::NoInstance { asked: Arc::default(), clock: thread.clock().clone() }
            }
            Some((worker, instance)) => {
                let (clock, sessions) = (thread.clock().clone(), thread.sessions(&worker));
                // Digits are always a valid value.
                let id = HeaderValue::from_str(&instance.id.text());
                let id = id.unwrap_or(HeaderValue::from_static(""));
                let ok = HeaderValue::from_static("0");
                let beside = [(INSTANCE_ID.clone(), id), (Status::GRPC_STATUS.clone(), ok)];
                InstanceService::Instance(Arc::new(Serving {
                    executor: Executor::new(worker, clock, sessions),
                    instance,
                    trailers: trailers::Template::new(beside),
                    account: connection.account().clone(),
                    messages: self.messages,
                    on_stop: self.on_stop,
                }))
            }
        }
    }
}

/// What answers the calls of one connection to an instance's address.
#[derive(Debug, Clone)]
pub(crate) enum InstanceService {
    /// The instance that has the address.
    Instance(Arc<Serving>),
    /// No instance has it. It may be another's when the next connection comes, so this one is closed
    /// after its first request, of which `asked` tells, or when none comes for a while.
    NoInstance { asked: Arc<Notify>, clock: Clock },
}

#[derive(Debug)]
pub(crate) struct Serving {
    executor: Executor,
    instance: Arc<Instance>,
    /// With its id, and the status of an answer.
    trailers: trailers::Template,
    /// The connection's.
    account: Account,
    messages: MessageLimits,
    on_stop: OnStop,
}

/// A connection to an address without an instance is closed after this time without a request.
const DEAD_ADDRESS_WAITS: Duration = Duration::from_secs(10);

/// The end of a request may come in a frame of its own. A call waits this long for it; its run time counts from its
/// message all the same. A client that goes on sending is answered without it.
const END_FOLLOWS: Duration = Duration::from_millis(10);

/// The trailer with the id of the instance that ran the call.
static INSTANCE_ID: HeaderName = HeaderName::from_static("instanceid");

impl Service for InstanceService {
    fn respond<B: RequestBody>(&self, request: Request<B>) -> ResponseFuture {
        if !is_grpc(request.headers()) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Box::pin(ready(Ok(response)));
        }
        match self {
            Self::Instance(serving) => match serving.reflection(&request) {
                Some(reflection) => reflection.respond(request),
                None => respond_with(serving, request),
            },
            Self::NoInstance { asked, .. } => {
                asked.notify_one();
                refuse(Status::unavailable("no instance has this address"))
            }
        }
    }

    fn ending(&self) -> impl Future<Output = Ending> + Send + 'static {
        let service = self.clone();
        async move {
            match service {
                Self::Instance(serving) => {
                    // In a task of its own: a future that waits for an instance takes its lock when
                    // it is polled, and a connection is polled for each request.
                    let (mut waiting, on_stop) = (JoinSet::new(), serving.on_stop);
                    waiting.spawn(async move { serving.instance.ends().await });
                    match (waiting.join_next().await, on_stop) {
                        (Some(Ok(EventKind::Stop)), OnStop::Cut) => Ending::Cut,
                        _ => Ending::Finish,
                    }
                }
                Self::NoInstance { asked, clock } => {
                    let end = clock.now() + DEAD_ADDRESS_WAITS;
                    clock.within(end, asked.notified()).await;
                    Ending::Finish
                }
            }
        }
    }
}

/// The answer to a call of any method. Its future has of the request what the call needs, and no more:
/// there is one for each call in flight.
fn respond_with<B: RequestBody>(serving: &Arc<Serving>, request: Request<B>) -> ResponseFuture {
    let Some(path) = request.uri().path_and_query().cloned() else {
        return refuse(Status::unimplemented("a request without a method"));
    };
    if let Some(answers) = &serving.instance.function().model.answers
        && !answers.has(method(&path))
    {
        let message = format!("the function has no method '{}'", method(&path));
        return refuse(Status::unimplemented(message));
    }
    let header = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
    let fault = serving.executor.fault_asked_of(&serving.instance, header);
    let serving = Arc::clone(serving);
    let mut message = message::First::new(request.into_body(), serving.messages.max_bytes);
    Box::pin(async move {
        let request = tokio::select! {
            biased;
            request = &mut message => request,
            // A client that never sends its message would keep the connection open.
            _ = serving.instance.ends() => Err(ended(&serving.instance)),
        };
        let arrived = serving.executor.clock().now();
        if request.is_ok() && !message.is_last() {
            let end = arrived + END_FOLLOWS;
            Box::pin(serving.executor.clock().within(end, message.rest())).await;
        }
        // Its body is not counted any more when its message is.
        drop(message);
        // A request that ends without a message has an empty one.
        let keep = |message: Option<Bytes>| serving.account.keep(message.unwrap_or_default());
        let answer = match request.and_then(keep) {
            Err(refusal) => Err(refusal),
            Ok(request) => {
                let Serving { executor, instance, .. } = &*serving;
                let method = method(&path);
                let outcome = executor.call_on(instance, method, request, fault, arrived).await;
                serving.answer(outcome)
            }
        };
        Ok(answer.unwrap_or_else(Status::into_http))
    })
}

fn method(path: &PathAndQuery) -> &str {
    path.path().trim_start_matches('/')
}

fn refuse(refusal: Status) -> ResponseFuture {
    Box::pin(ready(Ok(refusal.into_http())))
}

impl Serving {
    fn answer(
        &self,
        outcome: hyperfake_predictor::Result<Outcome>,
    ) -> Result<Response<Body>, Status> {
        let outcome = outcome.map_err(|error| {
            let status = status(&error);
            if drops_connection(&status) {
                self.account.cut();
            }
            status
        })?;
        if let Some(text) = outcome.failure {
            // What a gRPC server answers when a function's own code fails.
            return Err(Status::unknown(&*text));
        }
        let max_bytes = self.messages.max_bytes;
        if outcome.data.len() > max_bytes {
            let found = outcome.data.len();
            let found = format!("found an answer of {found} bytes, expected at most {max_bytes}");
            return Err(message_too_large(found));
        }
        let trailers = self.trailers.of(&outcome, self.executor.clock());
        Ok(message::response(outcome.data, trailers))
    }

    /// What answers a request for the function's own descriptors, if the request is one and there are
    /// any.
    fn reflection<B>(&self, request: &Request<B>) -> Option<Routes> {
        if !request.uri().path().starts_with("/grpc.reflection.") {
            return None;
        }
        let answers = self.instance.function().model.answers.as_ref()?;
        Some(reflection(&[answers.descriptors()], self.messages).routes())
    }
}

fn ended(instance: &Instance) -> Status {
    Status::unavailable(format!("the instance '{}' has ended", instance.id))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content.is_some_and(|content| content.starts_with(b"application/grpc"))
}
