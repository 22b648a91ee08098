//! Call threads: each serves its connections alone.
//!
//! A thread has a tokio runtime and a clock of its own, so that the calls of a connection meet no
//! lock of another thread.

use std::{io, pin::pin, sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    connection::{AcceptedConnection, Connection},
    endpoint::{Endpoint, Service},
    inflight::InflightBytes,
    limits::ServerLimits,
    request::{LimitedService, RequestLimits},
};
use crate::{
    clock::{Clock, precise},
    tls::ServerTls,
};

/// The call threads. They end when this is dropped.
#[derive(Debug)]
pub(super) struct CallThreads<T> {
    threads: Vec<CallThread<T>>,
    /// Lets the threads finish their connections and end.
    stop: CancellationToken,
    _abort: DropGuard,
}

#[derive(Debug)]
struct CallThread<T> {
    clock: Clock,
    queue: mpsc::Sender<Handover<T>>,
    ended: oneshot::Receiver<()>,
}

/// A connection for a call thread, and the endpoint that serves it.
pub(super) type Handover<T> = (Arc<dyn Serve<T>>, AcceptedConnection);

/// An endpoint, whatever its type: one dynamic call for each connection.
pub(super) trait Serve<T>: Send + Sync {
    /// The TLS of its connections, if they have it.
    fn tls(&self) -> Option<&ServerTls>;

    /// Serves a connection in a task of its own.
    fn serve(&self, context: &T, connection: Connection, server: &Arc<ThreadServer>);
}

/// An endpoint until it is removed.
pub(super) struct ActiveEndpoint<E> {
    pub(super) endpoint: E,
    pub(super) tls: Option<ServerTls>,
    /// Tells the endpoint's connections to finish.
    pub(super) stop: CancellationToken,
}

impl<T, E: Endpoint<T>> Serve<T> for ActiveEndpoint<E> {
    fn tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }

    fn serve(&self, context: &T, connection: Connection, server: &Arc<ThreadServer>) {
        let service = self.endpoint.service(context, &connection);
        // A connection polls its token, which takes the token's lock: connections must not share one.
        let stop = self.stop.child_token();
        server.tasks.spawn(Arc::clone(server).serve(connection, service, stop));
    }
}

/// The server side of HTTP/2 on one thread.
pub(super) struct ThreadServer {
    http2: http2::Builder<TokioExecutor>,
    limits: RequestLimits,
    tasks: TaskTracker,
}

/// Connections on their way to a thread wait in a queue of this length.
const HANDOVER_QUEUE: usize = 128;
/// The most streams of a connection that may be reset before they are handled.
const MAX_RESETS: usize = 4096;
/// A silent connection gets a ping after this time, and has as long to acknowledge it.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// The most bytes of a request's headers.
const MAX_HEADER_BYTES: u32 = 16 << 10;

impl<T: 'static> CallThreads<T> {
    /// Starts the threads; `context` makes what each of them has for its endpoints. Returns when
    /// all of them run.
    ///
    /// # Errors
    ///
    /// When the system has no more threads or descriptors.
    pub(super) async fn start(
        limits: &ServerLimits,
        context: impl Fn(Clock) -> T + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let abort = CancellationToken::new();
        let stop = abort.child_token();
        let inflight = InflightBytes::new(limits.max_inflight_bytes);
        let mut threads = Vec::new();
        for number in 0..limits.threads.max(1) {
            let (queue, handovers) = mpsc::channel(HANDOVER_QUEUE);
            let (started, clock) = oneshot::channel();
            let (ending, ended) = oneshot::channel();
            let (limits, context) = (limits.clone(), context.clone());
            let (inflight, stop, abort) = (Arc::clone(&inflight), stop.clone(), abort.clone());
            let run = move || {
                let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = match built {
                    Ok(runtime) => runtime,
                    Err(error) => return tracing::error!(%error, "no runtime for a thread"),
                };
                runtime.block_on(async move {
                    let clock = precise::start();
                    let _ = started.send(clock.clone());
                    let server = Arc::new(ThreadServer::new(&limits, inflight, clock.clone()));
                    let context = context(clock);
                    tokio::select! {
                        () = run_thread(&context, server, handovers, stop) => {}
                        () = abort.cancelled() => {}
                    }
                    drop(ending);
                    // Tasks that are not connections may go on, such as instances that end.
                    abort.cancelled().await;
                });
            };
            std::thread::Builder::new().name(format!("calls-{number}")).spawn(run)?;
            let clock = clock.await.map_err(|_| io::Error::other("a thread could not start"))?;
            threads.push(CallThread { clock, queue, ended });
        }
        Ok(Self { threads, stop, _abort: abort.drop_guard() })
    }

    /// Where connections are handed to the threads.
    pub(super) fn queues(&self) -> Vec<mpsc::Sender<Handover<T>>> {
        self.threads.iter().map(|thread| thread.queue.clone()).collect()
    }

    pub(super) fn clocks(&self) -> Vec<Clock> {
        self.threads.iter().map(|thread| thread.clock.clone()).collect()
    }

    /// Cancelled when the threads are to finish their connections and accept no more.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Waits until the last connection is closed, after a stop.
    pub(super) async fn ended(&mut self) {
        for thread in &mut self.threads {
            let _ = (&mut thread.ended).await;
        }
    }
}

/// Serves the connections that are handed over, until the stop and until the last one is closed.
async fn run_thread<T>(
    context: &T,
    server: Arc<ThreadServer>,
    mut handovers: mpsc::Receiver<Handover<T>>,
    stop: CancellationToken,
) {
    let serve = async {
        while let Some((endpoint, connection)) = handovers.recv().await {
            match connection.register(endpoint.tls()) {
                Ok(connection) => endpoint.serve(context, connection, &server),
                Err(error) => tracing::warn!(%error, "lost a connection"),
            }
        }
    };
    tokio::select! {
        () = serve => {}
        () = stop.cancelled() => {}
    }
    server.tasks.close();
    server.tasks.wait().await;
}

impl ThreadServer {
    fn new(limits: &ServerLimits, inflight: Arc<InflightBytes>, clock: Clock) -> Self {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            // With a small window, h2 takes many small concurrent calls on one connection for an
            // attack.
            .initial_connection_window_size(16 << 20)
            .initial_stream_window_size(1 << 20)
            .max_concurrent_streams(limits.max_streams)
            // A client may cancel many calls at once; h2 takes more than 20 for an attack.
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_RESETS)
            .max_header_list_size(MAX_HEADER_BYTES)
            // A broken connection of a listener is noticed before its time to reconnect is over.
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE);
        let limits = RequestLimits { messages: limits.messages, inflight, clock };
        Self { http2, limits, tasks: TaskTracker::new() }
    }

    /// Serves a connection until the client closes it, or until its requests have ended after a
    /// stop.
    async fn serve<S: Service>(
        self: Arc<Self>,
        connection: Connection,
        service: S,
        stop: CancellationToken,
    ) {
        let service = LimitedService { limits: self.limits.clone(), service };
        let connection = TokioIo::new(connection);
        let mut serving = pin!(self.http2.serve_connection(connection, service));
        let closed = tokio::select! {
            biased;
            closed = &mut serving => closed,
            () = stop.cancelled() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = closed {
            tracing::debug!(%error, "a connection failed");
        }
    }
}
