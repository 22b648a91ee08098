use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE,
};
use tokio::{sync::Notify, task::JoinSet};
use tonic::{Status, body::Body, service::Routes};

use super::{addresses::InstanceAddresses, listen::OnStop, message};
use crate::{
    clock::Clock,
    wire::{
        ThreadContext,
        controller::trailers,
        standard::reflection,
        status::{drops_connection, message_too_large, status},
        transport::{
            Connection, Ending, Endpoint, MessageLimits, RequestBody, ResponseFuture, Service,
        },
    },
    worker::{EventKind, Executor, Instance},
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
        InstanceService(Arc::new(match found {
            None => Serving::NoInstance { asked: Notify::new(), clock: thread.clock().clone() },
            Some((worker, instance)) => {
                let (clock, sessions) = (thread.clock().clone(), thread.sessions(&worker));
                // Digits are always a valid value.
                let id = HeaderValue::from_str(&instance.id.text());
                Serving::Instance {
                    executor: Executor::new(worker, clock, sessions),
                    instance,
                    id: id.unwrap_or(HeaderValue::from_static("")),
                    messages: self.messages,
                    on_stop: self.on_stop,
                }
            }
        }))
    }
}

/// What answers the calls of one connection to an instance's address.
#[derive(Debug)]
pub(crate) struct InstanceService(Arc<Serving>);

#[derive(Debug)]
enum Serving {
    Instance {
        executor: Executor,
        instance: Arc<Instance>,
        /// Its id, as a trailer.
        id: HeaderValue,
        messages: MessageLimits,
        on_stop: OnStop,
    },
    /// No instance has the address. It may be another's when the next connection comes, so this one
    /// is closed after its first request, of which `asked` tells, or when none comes for a while.
    NoInstance { asked: Notify, clock: Clock },
}

/// A connection to an address without an instance is closed after this time without a request.
const DEAD_ADDRESS_WAITS: Duration = Duration::from_secs(10);

/// The trailer with the id of the instance that ran the call.
static INSTANCE_ID: HeaderName = HeaderName::from_static("instanceid");

impl Service for InstanceService {
    fn respond<B: RequestBody>(&self, request: Request<B>) -> ResponseFuture {
        let serving = Arc::clone(&self.0);
        Box::pin(async move {
            if !is_grpc(request.headers()) {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                return Ok(response);
            }
            if let Some(reflection) = serving.reflection(&request) {
                return reflection.respond(request).await;
            }
            let (parts, body) = request.into_parts();
            Ok(serving.answer(&parts, body).await.unwrap_or_else(Status::into_http))
        })
    }

    fn ending(&self) -> impl Future<Output = Ending> + Send + 'static {
        let serving = Arc::clone(&self.0);
        async move {
            match &*serving {
                Serving::Instance { instance, on_stop, .. } => {
                    // In a task of its own: a future that waits for an instance takes its lock when
                    // it is polled, and a connection is polled for each request.
                    let (mut waiting, instance) = (JoinSet::new(), Arc::clone(instance));
                    waiting.spawn(async move { instance.ends().await });
                    match (waiting.join_next().await, on_stop) {
                        (Some(Ok(EventKind::Stop)), OnStop::Cut) => Ending::Cut,
                        _ => Ending::Finish,
                    }
                }
                Serving::NoInstance { asked, clock } => {
                    tokio::select! {
                        () = asked.notified() => {}
                        () = clock.sleep_until(clock.now() + DEAD_ADDRESS_WAITS) => {}
                    }
                    Ending::Finish
                }
            }
        }
    }
}

impl Serving {
    async fn answer<B: RequestBody>(
        &self,
        request: &http::request::Parts,
        body: B,
    ) -> Result<Response<Body>, Status> {
        let Self::Instance { executor, instance, id, messages, .. } = self else {
            return Err(self.no_instance());
        };
        let method = request.uri.path().trim_start_matches('/');
        let max_bytes = &messages.max_bytes;
        if let Some(answers) = &instance.function.model.answers
            && !answers.has(method)
        {
            return Err(Status::unimplemented(format!("the function has no method '{method}'")));
        }
        let header = |name: &str| request.headers.get(name).map(HeaderValue::as_bytes);
        let fault = executor.fault_asked_of(instance, header);
        let account = body.account().clone();
        let request = tokio::select! {
            biased;
            request = message::first(body, *max_bytes) => account.keep(request?)?,
            // A client that never sends its message would keep the connection open.
            _ = instance.ends() => return Err(ended(instance)),
        };
        let outcome = executor.call_on(instance, method, request, fault).await;
        let outcome = outcome.map_err(|error| {
            let status = status(&error);
            if drops_connection(&status) {
                account.cut();
            }
            status
        })?;
        if let Some(text) = outcome.failure {
            // What a gRPC server answers when a function's own code fails.
            return Err(Status::unknown(&*text));
        }
        if outcome.data.len() > *max_bytes {
            let found = outcome.data.len();
            let found = format!("found an answer of {found} bytes, expected at most {max_bytes}");
            return Err(message_too_large(found));
        }
        let mut trailers = trailers::write(&outcome, executor.clock()).into_headers();
        trailers.insert(&INSTANCE_ID, id.clone());
        Ok(message::response(outcome.data, trailers))
    }

    /// What answers a request for the function's own descriptors, if the request is one and there are
    /// any.
    fn reflection<B>(&self, request: &Request<B>) -> Option<Routes> {
        let Self::Instance { instance, messages, .. } = self else { return None };
        if !request.uri().path().starts_with("/grpc.reflection.") {
            return None;
        }
        let answers = instance.function.model.answers.as_ref()?;
        Some(reflection(&[answers.descriptors()], *messages).routes())
    }

    fn no_instance(&self) -> Status {
        if let Self::NoInstance { asked, .. } = self {
            asked.notify_one();
        }
        Status::unavailable("no instance has this address")
    }
}

fn ended(instance: &Instance) -> Status {
    Status::unavailable(format!("the instance '{}' has ended", instance.id))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content.is_some_and(|content| content.starts_with(b"application/grpc"))
}
