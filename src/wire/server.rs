//! Serves one or many workers, and shuts them down together.

use std::{io, sync::Arc, time::Duration};

use hyperfake_proto::controller::FILE_DESCRIPTOR_SET;

use super::{
    ThreadContext,
    controller::ControllerEndpoint,
    standard::{Health, Reflection, reflection},
    transport::{Acceptor, Handle, ServerLimits, sockets::Bound},
};
use crate::{
    clock::{Clock, Lateness, precise},
    tls::ServerTls,
    worker::Worker,
};

/// Workers that are being served.
#[derive(Debug)]
pub struct Server {
    members: Vec<Member>,
    clock: Clock,
    acceptor: Acceptor<ThreadContext>,
}

#[derive(Debug)]
struct Member {
    worker: Arc<Worker>,
    health: Health,
    _endpoint: Handle,
}

/// What is made for a server while other things are done.
#[derive(Debug)]
pub struct Preparation(Reflection);

/// After calls were aborted, the last events have this time to be sent.
const LINGER: Duration = Duration::from_millis(100);

impl Server {
    /// Begins with what takes long.
    #[must_use]
    pub fn prepare(limits: &ServerLimits) -> Preparation {
        let build = |messages| reflection(FILE_DESCRIPTOR_SET, messages);
        Preparation(Reflection::begin(build, limits.messages))
    }

    /// Serves each worker on its address: all of them at once, or one after the other with this
    /// time between them. All of them have the same catalog.
    ///
    /// # Errors
    ///
    /// When the system has no more threads or descriptors, or when another program listens on an
    /// address by now. If that happens to a worker that is served later, it is logged, and the
    /// others are served.
    pub async fn start(
        preparation: Preparation,
        workers: Vec<(Arc<Worker>, Bound)>,
        limits: &ServerLimits,
        tls: Option<ServerTls>,
        stagger: Duration,
    ) -> io::Result<Self> {
        let acceptor = Acceptor::start(limits, ThreadContext::new).await?.with_tls(tls);
        let reflection = preparation.0.finish();
        let clock = precise::start();
        let mut moment = clock.now();
        let mut members = Vec::with_capacity(workers.len());
        for (worker, socket) in workers {
            let health = Health::serving();
            let (service, reflection) = (health.service(), reflection.clone());
            let endpoint =
                ControllerEndpoint::new(Arc::clone(&worker), service, reflection, limits.messages);
            let endpoint = if stagger.is_zero() || members.is_empty() {
                acceptor.add(socket.listen()?, endpoint)
            } else {
                moment += stagger;
                acceptor.add_at(moment, socket, endpoint)
            };
            members.push(Member { worker, health, _endpoint: endpoint });
        }
        Ok(Self { members, clock, acceptor })
    }

    /// The clocks of the call threads.
    #[must_use]
    pub fn clocks(&self) -> Vec<Clock> {
        self.acceptor.clocks()
    }

    /// Stops accepting connections, lets calls end and their responses be sent, within `grace` or
    /// until `hurry` ends, and returns how late the sleeps of calls ended. Calls that are still in
    /// flight then are aborted.
    pub async fn shut_down(mut self, grace: Duration, hurry: impl Future<Output = ()>) -> Lateness {
        for member in &self.members {
            member.health.not_serving();
            member.worker.close();
        }
        self.acceptor.stop();
        let deadline = self.clock.now() + grace;
        let ended = async {
            for member in &self.members {
                member.worker.drain().await;
            }
            for member in &self.members {
                member.worker.shut_down().await;
                // Its watchers have the last state; their streams would keep connections open.
                member.health.end();
            }
            self.acceptor.ended().await;
        };
        tokio::select! {
            () = ended => return Lateness::of(&self.acceptor.clocks()),
            () = self.clock.sleep_until(deadline) => {}
            () = hurry => {}
        }
        let calls: usize = self.members.iter().map(|member| member.worker.usage().calls).sum();
        tracing::warn!(calls, "aborted in-flight calls");
        for member in &self.members {
            member.worker.shut_down().await;
        }
        // Time for the last events to be sent.
        self.clock.sleep_until(self.clock.now() + LINGER).await;
        Lateness::of(&self.acceptor.clocks())
    }
}
