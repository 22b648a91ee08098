//! The services of one or many workers on their threads, and their end.

use std::{io, sync::Arc, time::Duration};

use hyperfake_proto::controller::controller_server::ControllerServer;
use tonic::service::RoutesBuilder;
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

use super::{
    Controller,
    calls::Calls,
    partial::Partial,
    sockets::Bound,
    threads::{Settings, Threads},
};
use crate::{
    clock::{Clock, Lateness, precise},
    worker::{Executor, Sessions, Worker},
};

/// Workers that serve.
#[derive(Debug)]
pub struct Server {
    members: Arc<[Member]>,
    clock: Clock,
    threads: Threads,
}

/// A worker and what is said of its health.
#[derive(Debug)]
struct Member {
    worker: Arc<Worker>,
    health: HealthReporter,
}

/// The names that the health service answers for.
const SERVICES: [&str; 2] = ["worker", ""];
/// When calls were cut off, the last events get this long to be sent.
const LINGER: Duration = Duration::from_millis(100);

impl Server {
    /// Starts to serve each worker on its address: all of them at once, or one after the other
    /// with this time in between. All of them have the same catalog.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads or descriptors, or when somebody else serves there
    /// by now. One whose turn comes later may fail later: the log says so, and the others go on.
    pub async fn start(
        workers: Vec<(Arc<Worker>, Bound)>,
        settings: &Settings,
        stagger: Duration,
    ) -> io::Result<Self> {
        let (mut members, mut sockets) = (Vec::new(), Vec::new());
        for (worker, socket) in workers {
            let member = Member { worker, health: HealthReporter::new() };
            member.report(ServingStatus::Serving).await;
            members.push(member);
            sockets.push(socket);
        }
        let members: Arc<[_]> = members.into();
        let threads = {
            let (members, tools) = (Arc::clone(&members), reflection());
            let max_message_bytes = settings.max_message_bytes;
            let partial = Partial::up_to(settings.max_partial_bytes);
            Threads::start(settings, move |clock| {
                let (members, tools) = (Arc::clone(&members), tools.clone());
                let partial = Arc::clone(&partial);
                let mut sessions = None;
                move |number| {
                    let member: &Member = &members[number];
                    let worker = Arc::clone(&member.worker);
                    let sessions = sessions.get_or_insert_with(|| Sessions::of(worker.catalog()));
                    let sessions = Arc::clone(sessions);
                    let executor = Executor::new(worker, clock.clone(), sessions);
                    let controller = Arc::new(Controller::new(executor));
                    let others = ControllerServer::from_arc(Arc::clone(&controller))
                        .max_decoding_message_size(max_message_bytes);
                    let health = HealthService::from_health_reporter(member.health.clone());
                    let mut routes = tools.clone();
                    routes.add_service(others).add_service(HealthServer::new(health));
                    Calls::new(controller, max_message_bytes, Arc::clone(&partial), routes.routes())
                }
            })
        };
        let threads = threads.await?;
        let clock = precise::start();
        let mut turn = clock.now();
        for (number, socket) in sockets.into_iter().enumerate() {
            if stagger.is_zero() || number == 0 {
                threads.listen(number, socket.listen()?);
            } else {
                turn += stagger;
                threads.listen_at(number, socket, turn);
            }
        }
        Ok(Self { members, clock, threads })
    }

    /// The clocks by which the calls sleep.
    #[must_use]
    pub fn clocks(&self) -> Vec<Clock> {
        self.threads.clocks()
    }

    /// Stops accepting, lets the calls end and their answers be sent within `grace` or until
    /// `hurry` ends, and returns how late the calls' sleeps ended. What still runs then is cut
    /// off.
    pub async fn shut_down(mut self, grace: Duration, hurry: impl Future<Output = ()>) -> Lateness {
        for member in &*self.members {
            member.report(ServingStatus::NotServing).await;
            member.worker.close();
        }
        self.threads.stop();
        let deadline = self.clock.now() + grace;
        let ended = async {
            for member in &*self.members {
                member.worker.drain().await;
            }
            for member in &*self.members {
                member.worker.shut_down().await;
                member.forget().await;
            }
            self.threads.ended().await;
        };
        tokio::select! {
            () = ended => return Lateness::of(&self.threads.clocks()),
            () = self.clock.sleep_until(deadline) => {}
            () = hurry => {}
        }
        let calls: usize = self.members.iter().map(|member| member.worker.usage().calls).sum();
        tracing::warn!(calls, "what still ran was cut off");
        for member in &*self.members {
            member.worker.shut_down().await;
        }
        // The last events are on their way.
        self.clock.sleep_until(self.clock.now() + LINGER).await;
        Lateness::of(&self.threads.clocks())
    }
}

impl Member {
    async fn report(&self, status: ServingStatus) {
        for service in SERVICES {
            self.health.set_service_status(service, status).await;
        }
    }

    /// Whoever watches its health has been told, and would keep the connection open.
    async fn forget(&self) {
        for service in SERVICES {
            self.health.clone().clear_service_status(service).await;
        }
    }
}

/// How tools find out which services there are; both versions of the protocol are asked for by
/// those in use.
fn reflection() -> RoutesBuilder {
    let mut routes = RoutesBuilder::default();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(hyperfake_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => {
            routes.add_service(v1).add_service(v1alpha);
        }
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "no server reflection"),
    }
    routes
}
