//! The services of one or many workers on their threads, and their end.

use std::{io, sync::Arc, time::Duration};

use hyperfake_proto::controller::controller_server::ControllerServer;
use tonic::service::RoutesBuilder;
use tonic_health::pb::health_server::HealthServer;

use super::{
    controller::{
        Controller,
        fast_path::{Calls, Messages},
    },
    standard::Health,
    transport::{
        inflight::Partial,
        sockets::Bound,
        threads::{Settings, Threads},
    },
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
    health: Health,
}

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
            members.push(Member { worker, health: Health::serving() });
            sockets.push(socket);
        }
        let members: Arc<[_]> = members.into();
        let threads = {
            let messages = settings.messages;
            let (members, tools) = (Arc::clone(&members), reflection(messages));
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
                    let mut others = ControllerServer::from_arc(Arc::clone(&controller))
                        .max_decoding_message_size(messages.max_bytes);
                    let mut health = HealthServer::new(member.health.service())
                        .max_decoding_message_size(messages.max_bytes);
                    for encoding in messages.answer_encodings() {
                        others = others.send_compressed(encoding);
                        health = health.send_compressed(encoding);
                    }
                    let mut routes = tools.clone();
                    routes.add_service(others).add_service(health);
                    let (partial, clock) = (Arc::clone(&partial), clock.clone());
                    Calls::new(controller, messages, partial, clock, routes.routes())
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
            member.health.not_serving();
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
                // Those who watch it have been told, and would keep their connections open.
                member.health.end();
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

/// How tools find out which services there are; both versions of the protocol are asked for by
/// those in use.
fn reflection(messages: Messages) -> RoutesBuilder {
    let mut routes = RoutesBuilder::default();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(hyperfake_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(mut v1), Ok(mut v1alpha)) => {
            v1 = v1.max_decoding_message_size(messages.max_bytes);
            v1alpha = v1alpha.max_decoding_message_size(messages.max_bytes);
            for encoding in messages.answer_encodings() {
                v1 = v1.send_compressed(encoding);
                v1alpha = v1alpha.send_compressed(encoding);
            }
            routes.add_service(v1).add_service(v1alpha);
        }
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "no server reflection"),
    }
    routes
}
