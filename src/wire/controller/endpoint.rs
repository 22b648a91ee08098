use std::sync::Arc;

use hyperfake_proto::controller::controller_server::ControllerServer;
use tonic::service::RoutesBuilder;
use tonic_health::pb::health_server::HealthServer;

use super::{Controller, fast_path::CallFastPath};
use crate::{
    wire::{
        ThreadContext,
        standard::HealthService,
        transport::{Connection, Endpoint, MessageLimits, PerThread},
    },
    worker::{Executor, Worker},
};

/// A worker behind `controller.Controller`, with its health and with server reflection.
#[derive(Debug)]
pub(crate) struct ControllerEndpoint {
    worker: Arc<Worker>,
    health: HealthService,
    reflection: RoutesBuilder,
    messages: MessageLimits,
    /// Made for a thread when it gets its first connection: a worker that is not used stays small.
    services: PerThread<CallFastPath<Controller>>,
}

impl ControllerEndpoint {
    pub(crate) fn new(
        worker: Arc<Worker>,
        health: HealthService,
        reflection: RoutesBuilder,
        messages: MessageLimits,
    ) -> Self {
        Self { worker, health, reflection, messages, services: PerThread::default() }
    }

    fn service_on(&self, thread: &ThreadContext) -> CallFastPath<Controller> {
        let worker = Arc::clone(&self.worker);
        let sessions = thread.sessions(&worker);
        let executor = Executor::new(worker, thread.clock().clone(), sessions);
        let controller = Arc::new(Controller::new(executor));
        let mut others = ControllerServer::from_arc(Arc::clone(&controller))
            .max_decoding_message_size(self.messages.max_bytes);
        let mut health = HealthServer::new(self.health.clone())
            .max_decoding_message_size(self.messages.max_bytes);
        for encoding in self.messages.response_encodings() {
            others = others.send_compressed(encoding);
            health = health.send_compressed(encoding);
        }
        let mut routes = self.reflection.clone();
        routes.add_service(others).add_service(health);
        CallFastPath::new(controller, self.messages, routes.routes())
    }
}

impl Endpoint<ThreadContext> for ControllerEndpoint {
    type Service = CallFastPath<Controller>;

    fn service(&self, thread: &ThreadContext, _connection: &Connection) -> Self::Service {
        self.services.get_or_insert_with(|| self.service_on(thread))
    }
}
