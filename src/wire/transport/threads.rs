//! Threads: connections are taken in turn by threads that each run alone.
//!
//! A thread has a tokio runtime and a clock of its own, so that a call, once its connection has
//! been given to a thread, meets no other thread's lock. All servers of a process share the
//! threads; one that nobody has connected to costs no more than its socket.

use std::{collections::HashMap, convert::Infallible, io, sync::Arc, time::Duration};

use http::{Request, Response};
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, oneshot, watch},
};
use tokio_stream::{StreamExt, wrappers::UnboundedReceiverStream};
use tokio_util::task::TaskTracker;
use tonic::{body::Body, transport::Server as Transport};
use tower_service::Service;

use super::sockets::{Arrival, Bound, Connection};
use crate::{
    clock::{Clock, Moment, precise},
    wire::controller::fast_path::Messages,
};

/// What a server is held to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Threads that run calls.
    pub threads: usize,
    /// What messages may be.
    pub messages: Messages,
    /// The most bytes of requests that have not arrived whole, all together; what is beyond is
    /// refused.
    pub max_partial_bytes: usize,
    /// The most calls at once on one connection; a client holds back what is beyond.
    pub max_streams: u32,
    /// The most connections of one server; one more is closed at once.
    pub max_connections: usize,
}

/// The services of a server, as one that answers every request.
pub trait Services:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Services for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// Threads that serve.
#[derive(Debug)]
pub struct Threads {
    /// Says "stop accepting" when it turns true, and "end" when it is dropped.
    stopping: watch::Sender<bool>,
    threads: Vec<Thread>,
    door: Arc<Door>,
}

#[derive(Debug)]
struct Thread {
    clock: Clock,
    ended: oneshot::Receiver<()>,
}

/// Where connections come in.
#[derive(Debug)]
struct Door {
    queues: Vec<mpsc::Sender<(usize, Arrival)>>,
    max_connections: usize,
    clock: Clock,
    /// When the log was last told of a connection that could not be taken.
    complained: Mutex<Option<Moment>>,
}

/// The most streams of a connection that may be reset before they are looked at.
const RESETS: usize = 4096;
/// A silent connection is asked after this time whether it is still there, and given as long to
/// answer.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The most bytes of a request's headers.
const HEADERS: u32 = 16 << 10;

/// Connections on their way to a thread wait in a queue of this length.
const HAND_OVER: usize = 128;

/// Without descriptors, connections are asked for again after this time.
const BACK_OFF: Duration = Duration::from_millis(50);

impl Threads {
    /// Starts the threads. On each, `services` is asked once, with the thread's clock, for what
    /// then makes the services of a server, given its number, when its first connection comes.
    /// Returns when all threads run.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads or descriptors.
    pub async fn start<S: Services, F: FnMut(usize) -> S>(
        settings: &Settings,
        services: impl Fn(Clock) -> F + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (stopping, stop) = watch::channel(false);
        let mut threads = Vec::new();
        let mut queues = Vec::new();
        for number in 0..settings.threads.max(1) {
            let (queue, arrivals) = mpsc::channel(HAND_OVER);
            let (started, clock) = oneshot::channel();
            let (ending, ended) = oneshot::channel();
            let (services, settings, stop) = (services.clone(), settings.clone(), stop.clone());
            let run = move || {
                let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = match built {
                    Ok(runtime) => runtime,
                    Err(error) => return tracing::error!(%error, "no runtime for a thread"),
                };
                runtime.block_on(async move {
                    let clock = precise::start();
                    let _ = started.send(clock.clone());
                    let dropped = stop.clone();
                    tokio::select! {
                        () = serve_all(services(clock), arrivals, &settings, stop) => {}
                        () = until_dropped(dropped.clone()) => {}
                    }
                    drop(ending);
                    // Other tasks of this thread may have something left to do.
                    until_dropped(dropped).await;
                });
            };
            std::thread::Builder::new().name(format!("calls-{number}")).spawn(run)?;
            let clock = clock.await.map_err(|_| io::Error::other("a thread could not start"))?;
            threads.push(Thread { clock, ended });
            queues.push(queue);
        }
        let (clock, complained) = (precise::start(), Mutex::default());
        let max_connections = settings.max_connections;
        let door = Arc::new(Door { queues, max_connections, clock, complained });
        Ok(Self { stopping, threads, door })
    }

    /// Takes the connections of this server from now on.
    pub fn listen(&self, server: usize, listener: TcpListener) {
        let door = Arc::clone(&self.door);
        self.until_stopped(async move { door.accept(server, listener).await });
    }

    /// Takes the connections of this server from this moment on; before, there is nobody.
    pub fn listen_at(&self, server: usize, socket: Bound, moment: Moment) {
        let door = Arc::clone(&self.door);
        self.until_stopped(async move {
            door.clock.sleep_until(moment).await;
            match socket.listen() {
                Ok(listener) => door.accept(server, listener).await,
                Err(error) => tracing::error!(%error, "a worker cannot serve"),
            }
        });
    }

    fn until_stopped(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut stop = self.stopping.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }

    /// Takes no more connections, and lets those that there are end their calls.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Waits until the last connection is closed.
    pub async fn ended(&mut self) {
        for thread in &mut self.threads {
            let _ = (&mut thread.ended).await;
        }
    }

    /// The threads' clocks.
    #[must_use]
    pub fn clocks(&self) -> Vec<Clock> {
        self.threads.iter().map(|thread| thread.clock.clone()).collect()
    }
}

impl Door {
    /// Hands a server's connections to the threads in turn.
    async fn accept(&self, server: usize, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.max_connections));
        // Servers with one connection each are spread over the threads as well.
        for queue in self.queues.iter().cycle().skip(server % self.queues.len()) {
            let arrival = loop {
                let accepted = match listener.accept().await {
                    Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                        Ok(place) => Arrival::new(stream, place, &self.clock),
                        Err(_) => {
                            let most = self.max_connections;
                            self.complain(&listener, format!("--max-connections is {most}"));
                            continue;
                        }
                    },
                    Err(error) => Err(error),
                };
                match accepted {
                    Ok(arrival) => break arrival,
                    // Most likely there are no more descriptors: wait for some to come back.
                    Err(error) => {
                        self.complain(&listener, error.to_string());
                        self.clock.sleep_until(self.clock.now() + BACK_OFF).await;
                    }
                }
            };
            let _ = queue.send((server, arrival)).await;
        }
    }

    /// Says why a connection was not taken, at most once a second.
    fn complain(&self, listener: &TcpListener, reason: String) {
        let now = self.clock.now();
        let mut complained = self.complained.lock();
        if complained.is_none_or(|last| now >= last + Duration::from_secs(1)) {
            let worker = listener.local_addr().map(|address| address.to_string());
            tracing::warn!(worker = worker.ok(), reason, "cannot take a connection");
            *complained = Some(now);
        }
    }
}

/// Ends when nobody is left who could say anything.
async fn until_dropped(mut sender: watch::Receiver<bool>) {
    while sender.changed().await.is_ok() {}
}

/// Gives each connection to its server, until told to stop and the last one is closed.
async fn serve_all<S: Services>(
    mut services: impl FnMut(usize) -> S,
    mut arrivals: mpsc::Receiver<(usize, Arrival)>,
    settings: &Settings,
    mut stop: watch::Receiver<bool>,
) {
    let tasks = TaskTracker::new();
    let mut servers = HashMap::new();
    let stopped = stop.clone();
    let hand_on = async {
        while let Some((server, arrival)) = arrivals.recv().await {
            let connections = servers.entry(server).or_insert_with(|| {
                let (queue, connections) = mpsc::unbounded_channel();
                let (services, stop) = (services(server), stopped.clone());
                tasks.spawn(serve(services, connections, settings.max_streams, stop));
                queue
            });
            match arrival.arrive() {
                Ok(connection) => _ = connections.send(connection),
                Err(error) => tracing::warn!(%error, "lost a connection"),
            }
        }
    };
    tokio::select! {
        () = hand_on => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    tasks.close();
    tasks.wait().await;
}

/// Serves what comes over `connections`, until told to stop and the last one is closed.
async fn serve(
    services: impl Services,
    connections: mpsc::UnboundedReceiver<Connection>,
    max_streams: u32,
    mut stop: watch::Receiver<bool>,
) {
    let connections = UnboundedReceiverStream::new(connections).map(Ok::<_, io::Error>);
    let served = Transport::builder()
        // Many small calls at once on one connection need a large window, or h2 takes them for
        // an attack.
        .initial_connection_window_size(16 << 20)
        .initial_stream_window_size(1 << 20)
        .max_concurrent_streams(max_streams)
        // A client may give up many calls at once; h2 takes more than 20 for an attack.
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .http2_max_local_error_reset_streams(Some(RESETS))
        .http2_max_header_list_size(HEADERS)
        // A listener behind a cut line is noticed before its time to return is over.
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .serve_with_incoming_shutdown(services, connections, async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "a server ended");
    }
}
