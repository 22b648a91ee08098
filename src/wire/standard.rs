//! The standard services: health (`grpc.health.v1.Health`) and server reflection.
//!
//! tonic's health service refuses to watch an unknown name. The protocol requires
//! `SERVICE_UNKNOWN` and an open stream, because the name may become known later.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_stream::{Stream, wrappers::WatchStream};
use tonic::{Request, Response, Status, service::RoutesBuilder};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server,
};

use super::transport::MessageLimits;

/// The known names: the whole server, the name that a leaf asks for, and the services. All of them
/// have the same state.
const NAMES: [&str; 4] = ["", "worker", "controller.Controller", "worker.Worker"];

/// The health of a worker, as the worker sets it.
#[derive(Debug)]
pub(crate) struct Health {
    state: watch::Receiver<ServingStatus>,
    /// Taken at the end, which ends the streams of all watchers.
    changes: Mutex<Option<watch::Sender<ServingStatus>>>,
}

impl Health {
    /// The health of a worker that serves.
    pub(crate) fn serving() -> Self {
        let (changes, state) = watch::channel(ServingStatus::Serving);
        Self { state, changes: Mutex::new(Some(changes)) }
    }

    /// The worker accepts no more calls.
    pub(crate) fn not_serving(&self) {
        if let Some(changes) = &*self.changes.lock() {
            changes.send_replace(ServingStatus::NotServing);
        }
    }

    /// Ends the streams of all watchers, after they got the last state.
    pub(crate) fn end(&self) {
        *self.changes.lock() = None;
    }

    /// The service that reports it.
    pub(crate) fn service(&self) -> HealthService {
        HealthService(self.state.clone())
    }
}

/// The health service of a worker.
#[derive(Debug, Clone)]
pub(crate) struct HealthService(watch::Receiver<ServingStatus>);

#[tonic::async_trait]
impl health_server::Health for HealthService {
    type WatchStream = HealthUpdates;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request) {
            let message = format!("no such service; there are {}", NAMES.map(quoted).join(", "));
            return Err(Status::not_found(message));
        }
        let status = (*self.0.borrow()).into();
        Ok(Response::new(HealthCheckResponse { status }))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthUpdates>, Status> {
        let changes = WatchStream::new(self.0.clone());
        Ok(Response::new(HealthUpdates { is_known: is_known(&request), changes, last: None }))
    }
}

fn is_known(request: &Request<HealthCheckRequest>) -> bool {
    NAMES.contains(&request.get_ref().service.as_str())
}

fn quoted(name: &str) -> String {
    format!("'{name}'")
}

/// The states of a name, one for each change.
#[derive(Debug)]
pub(crate) struct HealthUpdates {
    is_known: bool,
    changes: WatchStream<ServingStatus>,
    /// The last state that was sent.
    last: Option<ServingStatus>,
}

impl Stream for HealthUpdates {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(state) = ready!(Pin::new(&mut self.changes).poll_next(context)) else {
                return Poll::Ready(None);
            };
            let state = if self.is_known { state } else { ServingStatus::ServiceUnknown };
            if self.last.replace(state) != Some(state) {
                return Poll::Ready(Some(Ok(HealthCheckResponse { status: state.into() })));
            }
        }
    }
}

/// Server reflection for APIs, which is built on a thread of its own: that takes a fifth of the
/// start of a worker with small models.
#[derive(Debug)]
pub(crate) struct Reflection {
    building: io::Result<JoinHandle<RoutesBuilder>>,
    build: fn(MessageLimits) -> RoutesBuilder,
    messages: MessageLimits,
}

impl Reflection {
    /// Begins to build it.
    pub(crate) fn begin(
        build: fn(MessageLimits) -> RoutesBuilder,
        messages: MessageLimits,
    ) -> Self {
        let thread = thread::Builder::new().name("reflection".into());
        Self { building: thread.spawn(move || build(messages)), build, messages }
    }

    /// Waits until it is built.
    pub(crate) fn finish(self) -> RoutesBuilder {
        let built = self.building.ok().and_then(|building| building.join().ok());
        // Without a thread it is built here.
        built.unwrap_or_else(|| (self.build)(self.messages))
    }
}

/// Server reflection for APIs, in both versions of the protocol that are in use.
pub(crate) fn reflection(apis: &[&[u8]], messages: MessageLimits) -> RoutesBuilder {
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        apis.iter().fold(builder, |builder, api| builder.register_encoded_file_descriptor_set(api))
    };
    let mut routes = RoutesBuilder::default();
    match (builder().build_v1(), builder().build_v1alpha()) {
        (Ok(mut v1), Ok(mut v1alpha)) => {
            v1 = v1.max_decoding_message_size(messages.max_bytes);
            v1alpha = v1alpha.max_decoding_message_size(messages.max_bytes);
            for encoding in messages.response_encodings() {
                v1 = v1.send_compressed(encoding);
                v1alpha = v1alpha.send_compressed(encoding);
            }
            routes.add_service(v1).add_service(v1alpha);
        }
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "no server reflection"),
    }
    routes
}
