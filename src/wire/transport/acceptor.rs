//! Accepts connections for endpoints, and hands them to the call threads in turn.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
};
use tokio_util::sync::CancellationToken;

use super::{
    connection::AcceptedConnection,
    endpoint::Endpoint,
    limits::ServerLimits,
    sockets::Bound,
    threads::{ActiveEndpoint, CallThreads, Handover, Serve},
};
use crate::{
    clock::{Clock, Moment, Throttle, precise},
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
    queues: Vec<mpsc::Sender<Handover<T>>>,
    /// The queue that the next endpoint begins with, so that endpoints with one connection each
    /// use all threads.
    first_queue: AtomicUsize,
    max_connections: usize,
    clock: Clock,
    /// When the last warning of a rejected connection was logged.
    warnings: Throttle,
}

/// After an error, such as too few descriptors, connections are accepted again after this time.
const BACK_OFF: Duration = Duration::from_millis(50);
/// Warnings of rejected connections are at least this far apart.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);

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
        let shared = Arc::new(Shared {
            queues: threads.queues(),
            first_queue: AtomicUsize::new(0),
            max_connections: limits.max_connections,
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
        let (endpoint, stop) = self.activate(endpoint);
        let shared = Arc::clone(&self.shared);
        let accepting = async move { shared.accept(listener, endpoint).await };
        tokio::spawn(stop.clone().run_until_cancelled_owned(accepting));
        Handle { stop }
    }

    /// Serves an endpoint from this moment on; until then, its address refuses connections. An
    /// error at that moment is logged.
    pub fn add_at(&self, moment: Moment, socket: Bound, endpoint: impl Endpoint<T>) -> Handle {
        let (endpoint, stop) = self.activate(endpoint);
        let shared = Arc::clone(&self.shared);
        let accepting = async move {
            shared.clock.sleep_until(moment).await;
            match socket.listen() {
                Ok(listener) => shared.accept(listener, endpoint).await,
                Err(error) => tracing::error!(%error, "an endpoint cannot serve"),
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(accepting));
        Handle { stop }
    }

    fn activate(&self, endpoint: impl Endpoint<T>) -> (Arc<dyn Serve<T>>, CancellationToken) {
        let stop = self.threads.stop().child_token();
        let tls = self.tls.clone();
        (Arc::new(ActiveEndpoint { endpoint, tls, stop: stop.clone() }), stop)
    }

    /// Removes all endpoints, for good.
    pub fn stop(&self) {
        self.threads.stop().cancel();
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
    /// Hands the connections of an endpoint to the threads in turn.
    async fn accept(&self, listener: TcpListener, endpoint: Arc<dyn Serve<T>>) {
        let permits = Arc::new(Semaphore::new(self.max_connections));
        let first = self.first_queue.fetch_add(1, Ordering::Relaxed) % self.queues.len();
        for queue in self.queues.iter().cycle().skip(first) {
            let connection = self.next_connection(&listener, &permits).await;
            let _ = queue.send((Arc::clone(&endpoint), connection)).await;
        }
    }

    /// The next connection that can be served.
    async fn next_connection(
        &self,
        listener: &TcpListener,
        permits: &Arc<Semaphore>,
    ) -> AcceptedConnection {
        loop {
            let accepted = match listener.accept().await {
                Ok((stream, _)) => match Arc::clone(permits).try_acquire_owned() {
                    Ok(permit) => AcceptedConnection::new(stream, permit, &self.clock),
                    Err(_) => {
                        let reason = Limit::Connections.reached(self.max_connections);
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

    /// Logs why a connection was rejected, unless another one was a moment ago.
    fn warn_rejected(&self, listener: &TcpListener, reason: String) {
        let now = self.clock.now();
        if self.warnings.is_due(now) {
            let address = listener.local_addr().map(|address| address.to_string());
            tracing::warn!(address = address.ok(), reason, "cannot take a connection");
        }
    }
}
