//! Call threads: each serves its connections alone.
//!
//! A thread has a tokio runtime and a clock of its own, so that the calls of a connection meet no
//! lock of another thread.

use std::{io, pin::pin, sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::oneshot;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    connection::{AcceptedConnection, Connection},
    endpoint::{Ending, Endpoint, Service},
    inbox::Inboxes,
    limits::ServerLimits,
    paced::{Activity, Paced},
    request::{LimitedService, RequestLimits},
};
use crate::{
    clock::{Clock, precise},
    tls::ServerTls,
};

/// The call threads. They end when this is dropped.
#[derive(Debug)]
pub(super) struct CallThreads<T> {
    threads: Vec<CallThread>,
    /// Lets the threads finish their connections and end.
    stop: CancellationToken,
    /// Lets connections end, after a stop, to which nothing can be written.
    quiet: CancellationToken,
    inboxes: Arc<Inboxes<Handover<T>>>,
    _abort: DropGuard,
}

#[derive(Debug)]
struct CallThread {
    clock: Clock,
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
    quiet: CancellationToken,
    tasks: TaskTracker,
}

/// The most streams of a connection that may be reset before they are handled.
const MAX_RESETS: usize = 4096;
/// A silent connection gets a ping after this time, and has as long to acknowledge it.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// A connection to which nothing was written in this time is quiet.
const QUIET: Duration = Duration::from_secs(1);
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
        let (stop, quiet) = (abort.child_token(), CancellationToken::new());
        let count = limits.threads.max(1);
        let inboxes = Arc::new(Inboxes::new(count));
        let mut threads = Vec::new();
        for number in 0..count {
            let (started, clock) = oneshot::channel();
            let (ending, ended) = oneshot::channel();
            let (limits, context) = (limits.clone(), context.clone());
            let (inboxes, stop, abort) = (Arc::clone(&inboxes), stop.clone(), abort.clone());
            let quiet = quiet.child_token();
            let run = move || {
                let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = match built {
                    Ok(runtime) => runtime,
                    Err(error) => return tracing::error!(%error, "no runtime for a thread"),
                };
                runtime.block_on(async move {
                    let clock = precise::start();
                    let _ = started.send(clock.clone());
                    let server = Arc::new(ThreadServer::new(&limits, quiet, clock.clone()));
                    let context = context(clock);
                    tokio::select! {
                        () = run_thread(&context, server, (&inboxes, number), stop) => {}
                        () = abort.cancelled() => {}
                    }
                    drop(ending);
                    // Tasks that are not connections may go on, such as instances that end.
                    abort.cancelled().await;
                });
            };
            std::thread::Builder::new().name(format!("calls-{number}")).spawn(run)?;
            let clock = clock.await.map_err(|_| io::Error::other("a thread could not start"))?;
            threads.push(CallThread { clock, ended });
        }
        Ok(Self { threads, stop, quiet, inboxes, _abort: abort.drop_guard() })
    }

    /// Where connections are handed to the threads.
    pub(super) fn inboxes(&self) -> Arc<Inboxes<Handover<T>>> {
        Arc::clone(&self.inboxes)
    }

    pub(super) fn clocks(&self) -> Vec<Clock> {
        self.threads.iter().map(|thread| thread.clock.clone()).collect()
    }

    /// Cancelled when the threads are to finish their connections and accept no more.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// After a stop: closes connections to which nothing can be written.
    pub(super) fn close_quiet(&self) {
        self.quiet.cancel();
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
    (inboxes, number): (&Inboxes<Handover<T>>, usize),
    stop: CancellationToken,
) {
    let serve = async {
        loop {
            let (endpoint, connection) = inboxes.take(number).await;
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
    fn new(limits: &ServerLimits, quiet: CancellationToken, clock: Clock) -> Self {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            // gRPC does not use it, the platform's own worker does not send it, and with a new one each
            // second HPACK's table would lose the trailers.
            .auto_date_header(false)
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
        let limits = RequestLimits { messages: limits.messages, clock };
        Self { http2, limits, quiet, tasks: TaskTracker::new() }
    }

    /// Serves a connection until the client closes it, until the service ends it, or until its
    /// requests have ended after a stop.
    async fn serve<S: Service>(
        self: Arc<Self>,
        connection: Connection,
        service: S,
        stop: CancellationToken,
    ) {
        let mut ending = pin!(service.ending());
        let account = connection.account().clone();
        let activity = Arc::<Activity>::default();
        let clock = self.limits.clock.clone();
        let paced = Paced::new(connection, &account, clock, Arc::clone(&activity));
        let service = LimitedService { limits: self.limits.clone(), account, service };
        let mut serving = pin!(self.http2.serve_connection(TokioIo::new(paced), service));
        let closed = tokio::select! {
            biased;
            closed = activity.in_turns(serving.as_mut()) => closed,
            ending = &mut ending => match ending {
                Ending::Cut => return,
                Ending::Finish => {
                    serving.as_mut().graceful_shutdown();
                    activity.in_turns(serving.as_mut()).await
                }
            },
            () = stop.cancelled() => {
                serving.as_mut().graceful_shutdown();
                // Requests that go on may still be cut.
                tokio::select! {
                    biased;
                    closed = activity.in_turns(serving.as_mut()) => closed,
                    Ending::Cut = &mut ending => return,
                    () = self.until_quiet(&activity) => Ok(()),
                }
            }
        };
        if let Err(error) = closed {
            tracing::debug!(%error, "a connection failed");
        }
    }

    /// Waits until quiet connections are to be closed, and until this one is quiet.
    async fn until_quiet(&self, activity: &Activity) {
        self.quiet.cancelled().await;
        let clock = &self.limits.clock;
        loop {
            let before = activity.writes();
            clock.sleep_until(clock.now() + QUIET).await;
            if activity.writes() == before {
                return;
            }
        }
    }
}
