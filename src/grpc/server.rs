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

/// The names that the health service answers for.
const SERVICES: [&str; 2] = ["worker", ""];
/// When calls were cut off, the last events get this long to be sent.
const LINGER: Duration = Duration::from_millis(100);

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
        for service in SERVICES {
            health.set_service_status(service, ServingStatus::Serving).await;
        }
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

    /// Stops accepting, lets the calls end and their answers be sent within `grace` or until
    /// `hurry` ends, and returns how late the calls' sleeps ended. What still runs then is cut
    /// off.
    pub async fn shut_down(mut self, grace: Duration, hurry: impl Future<Output = ()>) -> Lateness {
        for service in SERVICES {
            self.health.set_service_status(service, ServingStatus::NotServing).await;
        }
        self.threads.stop();
        let deadline = self.clock.now() + grace;
        let ended = async {
            self.worker.drain().await;
            self.worker.shut_down().await;
            for service in SERVICES {
                // Whoever watches it has been told, and would keep the connection open.
                self.health.clear_service_status(service).await;
            }
            self.threads.ended().await;
        };
        tokio::select! {
            () = ended => return self.threads.lateness(),
            () = self.clock.sleep_until(deadline) => {}
            () = hurry => {}
        }
        tracing::warn!(calls = self.worker.usage().calls, "what still ran was cut off");
        self.worker.shut_down().await;
        // The last events are on their way.
        self.clock.sleep_until(self.clock.now() + LINGER).await;
        self.threads.lateness()
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
