use std::sync::Arc;

use hyperfake_proto::{
    controller::controller_server::ControllerServer, worker::worker_server::WorkerServer,
};
use tonic::service::RoutesBuilder;
use tonic_health::pb::health_server::HealthServer;

use super::{
    ThreadContext,
    controller::{Controller, fast_path::CallFastPath},
    instance::InstanceAddresses,
    standard::HealthService,
    transport::{Connection, Endpoint, MessageLimits, PerThread},
    worker_api::WorkerApi,
};
use crate::worker::{Executor, Worker};

/// A worker behind both of the platform's APIs, with its health and with server reflection.
#[derive(Debug)]
pub(crate) struct WorkerEndpoint {
    pub(crate) worker: Arc<Worker>,
    pub(crate) instances: Arc<InstanceAddresses>,
    pub(crate) health: HealthService,
    pub(crate) reflection: RoutesBuilder,
    pub(crate) messages: MessageLimits,
    /// Made for a thread when it gets its first connection: a worker that is not used stays small.
    pub(crate) services: PerThread<CallFastPath<Controller>>,
}

impl WorkerEndpoint {
    fn service_on(&self, thread: &ThreadContext) -> CallFastPath<Controller> {
        let worker = Arc::clone(&self.worker);
        let clock = thread.clock().clone();
        let today = WorkerApi::new(Arc::clone(&worker), Arc::clone(&self.instances), clock.clone());
        let sessions = thread.sessions(&worker);
        let controller = Arc::new(Controller::new(Executor::new(worker, clock, sessions)));
        let max_bytes = self.messages.max_bytes;
        let mut of_2025 = ControllerServer::from_arc(Arc::clone(&controller))
            .max_decoding_message_size(max_bytes);
        let mut today = WorkerServer::new(today).max_decoding_message_size(max_bytes);
        let mut health =
            HealthServer::new(self.health.clone()).max_decoding_message_size(max_bytes);
        for encoding in self.messages.response_encodings() {
            of_2025 = of_2025.send_compressed(encoding);
            today = today.send_compressed(encoding);
            health = health.send_compressed(encoding);
        }
        let mut routes = self.reflection.clone();
        routes.add_service(of_2025).add_service(today).add_service(health);
        CallFastPath::new(controller, self.messages, routes.routes())
    }
}

impl Endpoint<ThreadContext> for WorkerEndpoint {
    type Service = CallFastPath<Controller>;

    fn service(&self, thread: &ThreadContext, _connection: &Connection) -> Self::Service {
        let of_thread = self.services.get_or_insert_with(|| self.service_on(thread));
        of_thread.with_handler(Controller::of_new_connection)
    }
}
