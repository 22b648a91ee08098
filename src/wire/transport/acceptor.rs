//! Accepts connections for endpoints, and hands them to the call threads in turn.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    account::{Account, Budget, Shares},
    connection::{AcceptedConnection, Admission},
    endpoint::Endpoint,
    inbox::Inboxes,
    limits::ServerLimits,
    peers::{NoPlace, Room},
    sockets::{Bound, descriptors},
    threads::{ActiveEndpoint, CallThreads, Handover, Serve},
};
use crate::{
    clock::{Clock, Moment, Throttle, precise},
    peer::peer,
    tls::ServerTls,
    wire::status::Limit,
};

/// Accepts the connections of any number of endpoints. All of them share its call threads; an
/// endpoint without connections costs little more than its socket.
#[derive(Debug)]
pub struct Acceptor<T> {
    threads: CallThreads<T>,
    tls: Option<ServerTls>,
    shared: Arc<Shared<T>>,
}

/// An endpoint that is being served. It is removed when this is dropped: its address accepts no
/// more connections, and each open one is closed once its requests have ended.
#[derive(Debug)]
#[must_use = "an endpoint is removed when its handle is dropped"]
pub struct Handle {
    stop: CancellationToken,
}

/// What the tasks that accept connections share.
#[derive(Debug)]
struct Shared<T> {
    inboxes: Arc<Inboxes<Handover<T>>>,
    /// The thread that the next endpoint begins with, so that endpoints with one connection each
    /// use all threads.
    first_thread: AtomicUsize,
    /// The most connections of an endpoint.
    max_connections: usize,
    /// The places that the process's descriptors allow.
    room: Arc<Room>,
    /// The descriptors of the process, and the endpoints that have one each.
    descriptors: usize,
    endpoints: AtomicUsize,
    budget: Arc<Budget>,
    clock: Clock,
    /// When the last warning of a rejected connection was logged.
    warnings: Throttle,
}

/// After an error, such as too few descriptors, connections are accepted again after this time.
const BACK_OFF: Duration = Duration::from_millis(50);
/// A thread that does not take a connection in this time does not get it.
const PATIENCE: Duration = Duration::from_millis(10);
/// Warnings of rejected connections are at least this far apart.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);
/// Descriptors for everything that is not a connection or an endpoint: models, look-ups, the HTTP
/// side, the log.
const OTHER_DESCRIPTORS: usize = 64;

/// An endpoint, and what removes it.
type Active<T> = (Arc<dyn Serve<T>>, CancellationToken);

impl<T: 'static> Acceptor<T> {
    /// Starts the call threads; `context` makes, on each of them, what it has for its endpoints.
    /// Returns when all threads run.
    ///
    /// # Errors
    ///
    /// When the system has no more threads or descriptors.
    pub async fn start(
        limits: &ServerLimits,
        context: impl Fn(Clock) -> T + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let threads = CallThreads::start(limits, context).await?;
        let shares = Shares::of(limits.max_inflight_bytes, limits.messages.max_bytes);
        let shared = Arc::new(Shared {
            inboxes: threads.inboxes(),
            first_thread: AtomicUsize::new(0),
            max_connections: limits.max_connections,
            room: Arc::default(),
            descriptors: descriptors(),
            endpoints: AtomicUsize::new(0),
            budget: Budget::new(shares),
            clock: precise::start(),
            warnings: Throttle::every(WARNING_INTERVAL),
        });
        Ok(Self { threads, tls: None, shared })
    }

    /// The same acceptor, whose endpoints speak TLS from the next one on.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<ServerTls>) -> Self {
        self.tls = tls;
        self
    }

    /// Serves an endpoint from now on.
    pub fn add(&self, listener: TcpListener, endpoint: impl Endpoint<T>) -> Handle {
        self.accept(listener, self.activate(endpoint, self.tls.clone()))
    }

    /// Serves an endpoint from now on, in plain text in any case.
    pub fn add_in_plain_text(&self, listener: TcpListener, endpoint: impl Endpoint<T>) -> Handle {
        self.accept(listener, self.activate(endpoint, None))
    }

    fn accept(&self, listener: TcpListener, (endpoint, stop): Active<T>) -> Handle {
        let shared = Arc::clone(&self.shared);
        let accepting = async move {
            let max_connections = shared.max_connections;
            shared.accept(listener, endpoint, max_connections).await;
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(accepting));
        Handle { stop }
    }

    /// Serves an endpoint from this moment on; until then, its address refuses connections. An
    /// error at that moment is logged.
    pub fn add_at(&self, moment: Moment, socket: Bound, endpoint: impl Endpoint<T>) -> Handle {
        let (endpoint, stop) = self.activate(endpoint, self.tls.clone());
        let shared = Arc::clone(&self.shared);
        let accepting = async move {
            shared.clock.sleep_until(moment).await;
            match socket.listen() {
                Ok(listener) => shared.accept(listener, endpoint, shared.max_connections).await,
                Err(error) => tracing::error!(%error, "an endpoint cannot serve"),
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(accepting));
        Handle { stop }
    }

    /// Serves an endpoint on every socket that comes, each with at most this many connections.
    pub fn add_all(
        &self,
        mut sockets: mpsc::UnboundedReceiver<Bound>,
        endpoint: impl Endpoint<T>,
        max_connections: usize,
    ) -> Handle {
        let (endpoint, stop) = self.activate(endpoint, self.tls.clone());
        let (shared, until) = (Arc::clone(&self.shared), stop.clone());
        let accepting = async move {
            while let Some(socket) = sockets.recv().await {
                let (shared, endpoint) = (Arc::clone(&shared), Arc::clone(&endpoint));
                match socket.listen() {
                    Ok(listener) => {
                        let accepting = async move {
                            shared.accept(listener, endpoint, max_connections).await;
                        };
                        tokio::spawn(until.clone().run_until_cancelled_owned(accepting));
                    }
                    Err(error) => tracing::error!(%error, "a socket cannot serve"),
                }
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(accepting));
        Handle { stop }
    }

    /// How many connections the descriptors of the process allow, beside its endpoints.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    fn activate(&self, endpoint: impl Endpoint<T>, tls: Option<ServerTls>) -> Active<T> {
        let stop = self.threads.stop().child_token();
        (Arc::new(ActiveEndpoint { endpoint, tls, stop: stop.clone() }), stop)
    }

    /// Removes all endpoints, for good.
    pub fn stop(&self) {
        self.threads.stop().cancel();
    }

    /// Closes each connection to which nothing can be written any more, after [`Acceptor::stop`]:
    /// what its client does not read or does not finish keeps it open no longer.
    pub fn close_quiet(&self) {
        self.threads.close_quiet();
    }

    /// Waits until the last connection is closed, after [`Acceptor::stop`].
    pub async fn ended(&mut self) {
        self.threads.ended().await;
    }

    /// The clocks of the call threads.
    #[must_use]
    pub fn clocks(&self) -> Vec<Clock> {
        self.threads.clocks()
    }
}

impl Handle {
    /// Removes the endpoint now.
    pub fn remove(self) {}
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl<T> Shared<T> {
    /// Hands the connections of an endpoint to the threads in turn. A thread that does not take a
    /// connection, because it is held, loses it to the next one.
    async fn accept(
        &self,
        listener: TcpListener,
        endpoint: Arc<dyn Serve<T>>,
        max_connections: usize,
    ) {
        let _counted = Counted::new(&self.endpoints);
        let room = Arc::default();
        let first = self.first_thread.fetch_add(1, Ordering::Relaxed);
        for thread in first.. {
            let connection = loop {
                let patience = self.clock.sleep_until(self.clock.now() + PATIENCE);
                tokio::select! {
                    biased;
                    connection = self.next_connection(&listener, &room, max_connections) => break connection,
                    () = patience, if self.inboxes.is_waiting() => self.inboxes.pass_on(),
                }
            };
            self.inboxes.put(thread, (Arc::clone(&endpoint), connection));
        }
    }

    /// The next connection that can be served.
    async fn next_connection(
        &self,
        listener: &TcpListener,
        room: &Arc<Room>,
        max_connections: usize,
    ) -> AcceptedConnection {
        loop {
            let accepted = match listener.accept().await {
                Ok((stream, address)) => match self.admit(peer(address), room, max_connections) {
                    Ok(admission) => AcceptedConnection::new(stream, admission, &self.clock),
                    Err(reason) => {
                        self.warn_rejected(listener, reason);
                        continue;
                    }
                },
                Err(error) => Err(error),
            };
            match accepted {
                Ok(connection) => return connection,
                // Most likely there are no descriptors left: wait until some are closed.
                Err(error) => {
                    self.warn_rejected(listener, error.to_string());
                    self.clock.sleep_until(self.clock.now() + BACK_OFF).await;
                }
            }
        }
    }

    /// The places and the account of a new connection, or why it is closed.
    fn admit(
        &self,
        peer: IpAddr,
        room: &Arc<Room>,
        max_connections: usize,
    ) -> Result<Admission, String> {
        let of_endpoint = room.enter(peer, max_connections).map_err(|none| match none {
            NoPlace::All(most) => Limit::Connections.reached(most),
            NoPlace::Peer(most) => Limit::Connections.reached_by(peer, most),
        })?;
        let of_process = self.room.enter(peer, self.connections()).map_err(|none| match none {
            NoPlace::All(most) => Limit::Descriptors.reached(most),
            NoPlace::Peer(most) => Limit::Descriptors.reached_by(peer, most),
        })?;
        let account = Account::new(&self.budget, peer);
        Ok(Admission { account, _places: [of_endpoint, of_process] })
    }

    fn connections(&self) -> usize {
        let others = self.endpoints.load(Ordering::Relaxed) + OTHER_DESCRIPTORS;
        self.descriptors.saturating_sub(others).max(self.descriptors / 4)
    }

    /// Logs why a connection was rejected, unless another one was a moment ago.
    fn warn_rejected(&self, listener: &TcpListener, reason: String) {
        let now = self.clock.now();
        if self.warnings.is_due(now) {
            let address = listener.local_addr().map(|address| address.to_string());
            tracing::warn!(address = address.ok(), reason, "cannot take a connection");
        }
    }
}

/// Counts one while it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
