//! Serves one or many workers, and shuts them down together.

use std::{io, sync::Arc, time::Duration};

use hyperfake_proto::{controller, worker};
use tokio::net::TcpListener;

use super::{
    ThreadContext,
    endpoint::WorkerEndpoint,
    etcd::EtcdEndpoint,
    instance::{InstanceEndpoint, OnStop, Opened},
    standard::{Health, Reflection, reflection},
    transport::{
        Acceptor, Handle, MessageLimits, PerThread, ServerLimits,
        sockets::{self, Bound},
    },
};
use crate::{
    clock::{Clock, Lateness, precise},
    functions::kv::Store,
    tls::ServerTls,
    worker::Worker,
};

/// Workers that are being served.
#[derive(Debug)]
pub struct Server {
    members: Vec<Member>,
    _instances: Handle,
    clock: Clock,
    acceptor: Acceptor<ThreadContext>,
    /// A store that is served as an etcd, and where.
    etcd: Option<(Store, Vec<Handle>)>,
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
        let build = |messages| {
            reflection(&[controller::FILE_DESCRIPTOR_SET, worker::FILE_DESCRIPTOR_SET], messages)
        };
        Preparation(Reflection::begin(build, limits.messages))
    }

    /// Serves each worker on its address: all of them at once, or one after the other with this
    /// time between them. All of them have the same catalog. Their instances are served where
    /// `instances` gives them addresses.
    ///
    /// # Errors
    ///
    /// When the system has no more threads or descriptors, or when another program listens on an
    /// address by now. If that happens to a worker that is served later, it is logged, and the
    /// others are served.
    pub async fn start(
        preparation: Preparation,
        workers: Vec<(Arc<Worker>, Bound)>,
        instances: Opened,
        on_stop: OnStop,
        limits: &ServerLimits,
        tls: Option<ServerTls>,
        stagger: Duration,
    ) -> io::Result<Self> {
        let acceptor = Acceptor::start(limits, ThreadContext::new).await?.with_tls(tls);
        warn_of_few_descriptors(&acceptor, workers.len(), limits.max_connections);
        let reflection = preparation.0.finish();
        let Opened { addresses, sockets } = instances;
        addresses.serve(workers.iter().map(|(worker, _)| Arc::downgrade(worker)));
        let messages = limits.messages;
        let endpoint = InstanceEndpoint { addresses: Arc::clone(&addresses), messages, on_stop };
        // They may all share one socket.
        let max_connections = limits.max_connections.max(sockets::descriptors() / 2);
        let instances = acceptor.add_all(sockets, endpoint, max_connections);
        let clock = precise::start();
        let mut moment = clock.now();
        let mut members = Vec::with_capacity(workers.len());
        for (worker, socket) in workers {
            let health = Health::serving();
            let endpoint = WorkerEndpoint {
                worker: Arc::clone(&worker),
                instances: Arc::clone(&addresses),
                health: health.service(),
                reflection: reflection.clone(),
                messages: limits.messages,
                services: PerThread::default(),
            };
            let endpoint = if stagger.is_zero() || members.is_empty() {
                acceptor.add(socket.listen()?, endpoint)
            } else {
                moment += stagger;
                acceptor.add_at(moment, socket, endpoint)
            };
            members.push(Member { worker, health, _endpoint: endpoint });
        }
        Ok(Self { members, _instances: instances, clock, acceptor, etcd: None })
    }

    /// Serves a store as an etcd as well. In plain text: the platform's leaf and its command line, which ask it,
    /// speak nothing else.
    pub fn serve_etcd(&mut self, store: Store, at: Vec<TcpListener>, messages: MessageLimits) {
        let serve = |listener| {
            let endpoint = EtcdEndpoint::new(store.clone(), messages);
            self.acceptor.add_in_plain_text(listener, endpoint)
        };
        let handles = at.into_iter().map(serve).collect();
        self.etcd = Some((store, handles));
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
        let now = self.clock.now();
        self.members.iter().for_each(|member| member.health.not_serving());
        let announced = self.members.iter().filter_map(|member| member.worker.announce_end(now));
        // Until leaves have stopped sending calls to the instances.
        if let Some(serves_on) = announced.max() {
            self.clock.sleep_until(now + serves_on).await;
        }
        self.members.iter().for_each(|member| member.worker.close());
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
            if let Some((store, _)) = &self.etcd {
                // Watches have no end of their own.
                store.close();
            }
            // No call runs. What is still sent is waited for, but not a client that reads nothing or
            // does not finish its request.
            self.acceptor.close_quiet();
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

/// Says so if not every connection that the workers' limits allow can be had.
fn warn_of_few_descriptors(acceptor: &Acceptor<ThreadContext>, workers: usize, each: usize) {
    let (possible, allowed) = (acceptor.connections().saturating_sub(workers), workers * each);
    if possible < allowed {
        tracing::warn!(
            workers,
            each,
            allowed,
            possible,
            "the limit on open files allows fewer connections than --max-connections for all workers"
        );
    }
}
