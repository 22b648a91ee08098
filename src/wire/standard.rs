//! The standard health service (`grpc.health.v1.Health`) of one worker.
//!
//! tonic's own refuses to watch a name that it does not know. The protocol asks for
//! `SERVICE_UNKNOWN` and an open stream, because the name may be known later.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_stream::{Stream, wrappers::WatchStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server,
};

/// The names that there are: the server as a whole, what a leaf asks for, and the service. All
/// have the same state.
const NAMES: [&str; 3] = ["", "worker", "controller.Controller"];

/// Where a worker says how it is.
#[derive(Debug)]
pub(crate) struct Health {
    state: watch::Receiver<ServingStatus>,
    /// Until there is nothing more to say.
    changes: Mutex<Option<watch::Sender<ServingStatus>>>,
}

impl Health {
    /// That of a worker that serves.
    pub(crate) fn serving() -> Self {
        let (changes, state) = watch::channel(ServingStatus::Serving);
        Self { state, changes: Mutex::new(Some(changes)) }
    }

    /// It takes no more calls.
    pub(crate) fn not_serving(&self) {
        if let Some(changes) = &*self.changes.lock() {
            changes.send_replace(ServingStatus::NotServing);
        }
    }

    /// Ends the streams of those who watch, once they know the last state.
    pub(crate) fn end(&self) {
        *self.changes.lock() = None;
    }

    /// The service that tells.
    pub(crate) fn service(&self) -> HealthService {
        HealthService(self.state.clone())
    }
}

/// The service, for one thread.
#[derive(Debug)]
pub(crate) struct HealthService(watch::Receiver<ServingStatus>);

#[tonic::async_trait]
impl health_server::Health for HealthService {
    type WatchStream = Watching;

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
    ) -> Result<Response<Watching>, Status> {
        let changes = WatchStream::new(self.0.clone());
        Ok(Response::new(Watching { is_known: is_known(&request), changes, last: None }))
    }
}

fn is_known(request: &Request<HealthCheckRequest>) -> bool {
    NAMES.contains(&request.get_ref().service.as_str())
}

fn quoted(name: &str) -> String {
    format!("'{name}'")
}

/// The states of a name, as they change.
#[derive(Debug)]
pub(crate) struct Watching {
    is_known: bool,
    changes: WatchStream<ServingStatus>,
    /// What was said last.
    last: Option<ServingStatus>,
}

impl Stream for Watching {
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
