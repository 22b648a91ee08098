//! The worker's services on its threads, and their end.

use std::{io, sync::Arc, time::Duration};

use hyperfake_proto::controller::controller_server::ControllerServer;
use tokio::net::TcpListener;
use tonic::service::{Routes, RoutesBuilder};
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};

use super::{
    Controller,
    threads::{Settings, Threads},
};
use crate::{
    clock::{Clock, Lateness, precise},
    worker::{Executor, Worker},
};

/// A worker that serves.
#[derive(Debug)]
pub struct Server {
    worker: Arc<Worker>,
    clock: Clock,
    health: HealthReporter,
    threads: Threads,
}

/// After the last call, a connection gets this long to send the last answer.
const LINGER: Duration = Duration::from_millis(500);

impl Server {
    /// Starts to serve on this socket.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads or descriptors.
    pub async fn start(
        worker: Arc<Worker>,
        listener: TcpListener,
        settings: &Settings,
    ) -> io::Result<Self> {
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_service_status("worker", ServingStatus::Serving).await;
        let max_message_bytes = settings.max_message_bytes;
        let served = Arc::clone(&worker);
        let threads = Threads::start(listener, settings, move |clock| {
            let controller = Controller::new(Executor::new(Arc::clone(&served), clock));
            let controller =
                ControllerServer::new(controller).max_decoding_message_size(max_message_bytes);
            routes(controller, health_service.clone())
        });
        Ok(Self { worker, clock: precise::start(), health, threads: threads.await? })
    }

    /// Stops accepting, lets the calls end within `grace` or until `hurry` ends, and returns how
    /// late the calls' sleeps ended. What still runs then is cut off.
    pub async fn shut_down(self, grace: Duration, hurry: impl Future<Output = ()>) -> Lateness {
        self.health.set_service_status("worker", ServingStatus::NotServing).await;
        self.health.set_service_status("", ServingStatus::NotServing).await;
        self.threads.stop();
        let in_time = tokio::select! {
            () = self.worker.drain() => true,
            () = self.clock.sleep_until(self.clock.now() + grace) => false,
            () = hurry => false,
        };
        if !in_time {
            let calls = self.worker.usage().calls;
            tracing::warn!(calls, "calls were cut off");
        }
        self.worker.shut_down(&self.clock);
        self.threads.ended(&self.clock, self.clock.now() + LINGER).await
    }
}

fn routes<H: Health>(controller: ControllerServer<Controller>, health: HealthServer<H>) -> Routes {
    let mut routes = RoutesBuilder::default();
    routes.add_service(controller).add_service(health);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(hyperfake_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Both versions of the protocol are asked for by tools in use.
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => {
            routes.add_service(v1).add_service(v1alpha);
        }
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "no server reflection"),
    }
    routes.routes()
}
