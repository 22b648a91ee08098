//! Sockets and threads: connections are taken in turn by threads that each run alone.
//!
//! A thread has a tokio runtime and a clock of its own, so that a call, once its connection has
//! been given to a thread, meets no other thread's lock.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{service::Routes, transport::Server as Transport};

use crate::clock::{Clock, Lateness, precise};

/// What a server is held to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Threads that run calls.
    pub threads: usize,
    /// The largest message that is taken, in bytes.
    pub max_message_bytes: usize,
    /// The most calls at once on one connection; a client holds back what is beyond.
    pub max_streams: u32,
}

/// Threads that serve.
#[derive(Debug)]
pub struct Threads {
    /// Says "stop accepting" when it turns true, and "end" when it is dropped.
    stopping: watch::Sender<bool>,
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    clock: Clock,
    ended: oneshot::Receiver<()>,
}

/// The most streams of a connection that may be reset before they are looked at.
const RESETS: usize = 4096;
/// A silent connection is asked after this time whether it is still there, and given as long to
/// answer.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A connection on its way to its thread waits in a queue of this length.
const HAND_OVER: usize = 128;

impl Threads {
    /// Starts to serve on this socket; each thread has the services that `routes` makes for its
    /// clock. Returns when all threads run.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads or descriptors.
    pub async fn start(
        listener: TcpListener,
        settings: &Settings,
        routes: impl Fn(Clock) -> Routes + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (stopping, stop) = watch::channel(false);
        let mut threads = Vec::new();
        let mut queues = Vec::new();
        for number in 0..settings.threads.max(1) {
            let (queue, connections) = mpsc::channel(HAND_OVER);
            let (started, clock) = oneshot::channel();
            let (ending, ended) = oneshot::channel();
            let (routes, settings, stop) = (routes.clone(), settings.clone(), stop.clone());
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
                        () = serve(routes(clock), connections, &settings, stop) => {}
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
        tokio::spawn(accept(listener, queues, precise::start(), stop));
        Ok(Self { stopping, threads })
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

    /// How late the threads' sleeps have ended.
    #[must_use]
    pub fn lateness(&self) -> Lateness {
        let mut lateness = Lateness::empty();
        for thread in &self.threads {
            lateness.merge(&thread.clock.lateness());
        }
        lateness
    }
}

/// Binds a socket to serve on. `[::]` takes IPv4 as well, and stands for `0.0.0.0` on a machine
/// without IPv6.
///
/// # Errors
///
/// When the address cannot be had, for example because it is in use.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match bind_exactly(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && !has_ipv6(&error) => {
            let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            tracing::warn!("this machine has no IPv6: serving on {ipv4} instead of {address}");
            bind_exactly(ipv4)
        }
        bound => bound,
    }
}

fn bind_exactly(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A worker that was stopped a moment ago must not keep the next one from its port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    TcpListener::from_std(socket.into())
}

fn has_ipv6(error: &io::Error) -> bool {
    let no_ipv6 = [io::ErrorKind::AddrNotAvailable, io::ErrorKind::Unsupported];
    // EAFNOSUPPORT has no kind of its own.
    !(no_ipv6.contains(&error.kind()) || error.raw_os_error() == Some(97))
}

/// Hands connections to the threads in turn.
async fn accept(
    listener: TcpListener,
    queues: Vec<mpsc::Sender<std::net::TcpStream>>,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) {
    let mut reported = None;
    for queue in queues.iter().cycle() {
        let connection = loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match accepted.and_then(|(connection, _)| prepare(connection)) {
                Ok(connection) => break connection,
                // Most likely there are no more descriptors: wait for some to come back.
                Err(error) => {
                    let now = clock.now();
                    if reported.is_none_or(|last| now >= last + Duration::from_secs(1)) {
                        tracing::warn!(%error, "cannot take a connection");
                        reported = Some(now);
                    }
                    clock.sleep_until(now + Duration::from_millis(50)).await;
                }
            }
        };
        let _ = queue.send(connection).await;
    }
}

/// Ends when nobody is left who could say anything.
async fn until_dropped(mut sender: watch::Receiver<bool>) {
    while sender.changed().await.is_ok() {}
}

fn prepare(connection: TcpStream) -> io::Result<std::net::TcpStream> {
    // An answer is small and must not wait for another one.
    connection.set_nodelay(true)?;
    connection.into_std()
}

/// Serves what comes over `connections`, until told to stop and the last one is closed.
async fn serve(
    routes: Routes,
    connections: mpsc::Receiver<std::net::TcpStream>,
    settings: &Settings,
    mut stop: watch::Receiver<bool>,
) {
    let connections = ReceiverStream::new(connections).map(TcpStream::from_std);
    let served = Transport::builder()
        // Many small calls at once on one connection need a large window, or h2 takes them for
        // an attack.
        .initial_connection_window_size(16 << 20)
        .initial_stream_window_size(1 << 20)
        .max_concurrent_streams(settings.max_streams)
        // A client may give up many calls at once; h2 takes more than 20 for an attack.
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .http2_max_local_error_reset_streams(Some(RESETS))
        // A listener behind a cut line is noticed before its time to return is over.
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections, async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "a thread stopped serving");
    }
}
