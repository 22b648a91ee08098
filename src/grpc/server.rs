//! Sockets and threads: connections are taken in turn by threads that each run alone.
//!
//! A thread has a tokio runtime, a clock and model sessions of its own, so that a call, once its
//! connection has been given to a thread, meets no other thread's lock.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use hyperfake_proto::controller::controller_server::ControllerServer;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::transport::Server as Transport;
use tonic_health::{ServingStatus, server::HealthReporter};

use super::Controller;
use crate::{
    clock::{Clock, Lateness, precise},
    worker::{Executor, Worker},
};

/// What the server is held to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Threads that run calls.
    pub threads: usize,
    /// The largest message that is taken, in bytes.
    pub max_message_bytes: usize,
    /// The most calls at once on one connection; a client holds back what is beyond.
    pub max_streams: u32,
}

/// A worker that serves.
#[derive(Debug)]
pub struct Server {
    worker: Arc<Worker>,
    clock: Clock,
    health: HealthReporter,
    /// Says "stop accepting" when it turns true.
    stopping: watch::Sender<bool>,
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    clock: Clock,
    ended: tokio::sync::oneshot::Receiver<()>,
    handle: JoinHandle<()>,
}

/// A connection on its way to its thread waits in a queue of this length.
const HAND_OVER: usize = 128;
/// After the last call, a connection gets this long to send the last answer.
const LINGER: Duration = Duration::from_millis(500);

impl Server {
    /// Starts to serve on this socket, and returns at once.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads or descriptors.
    pub async fn start(
        worker: Arc<Worker>,
        listener: TcpListener,
        settings: Settings,
    ) -> io::Result<Self> {
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_service_status("worker", ServingStatus::Serving).await;
        let (stopping, stop) = watch::channel(false);
        let mut threads = Vec::new();
        let mut queues = Vec::new();
        for number in 0..settings.threads.max(1) {
            let (queue, connections) = mpsc::channel(HAND_OVER);
            let (started, clock) = tokio::sync::oneshot::channel();
            let (ending, ended) = tokio::sync::oneshot::channel();
            let (worker, settings, stop) = (Arc::clone(&worker), settings.clone(), stop.clone());
            let health = health_service.clone();
            let handle =
                std::thread::Builder::new().name(format!("calls-{number}")).spawn(move || {
                    let _ending = ending;
                    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    let runtime = match built {
                        Ok(runtime) => runtime,
                        Err(error) => return tracing::error!(%error, "no runtime for a thread"),
                    };
                    runtime.block_on(async move {
                        let clock = precise::start();
                        let _ = started.send(clock.clone());
                        let controller = Controller::new(Executor::new(worker, clock));
                        let controller = ControllerServer::new(controller)
                            .max_decoding_message_size(settings.max_message_bytes);
                        serve(controller, health, connections, &settings, stop).await;
                    });
                })?;
            let clock = clock.await.map_err(|_| io::Error::other("a thread could not start"))?;
            threads.push(Thread { clock, ended, handle });
            queues.push(queue);
        }
        let clock = precise::start();
        tokio::spawn(accept(listener, queues, clock.clone(), stop));
        Ok(Self { worker, clock, health, stopping, threads })
    }

    /// Stops accepting, lets the calls end within `grace` or until `hurry` ends, and returns how
    /// late the calls' sleeps ended. What still runs then is cut off.
    pub async fn shut_down(self, grace: Duration, hurry: impl Future<Output = ()>) -> Lateness {
        self.health.set_service_status("worker", ServingStatus::NotServing).await;
        self.health.set_service_status("", ServingStatus::NotServing).await;
        self.stopping.send_replace(true);
        let in_time = tokio::select! {
            () = self.worker.drain() => true,
            () = self.clock.sleep_until(self.clock.now() + grace) => false,
            () = hurry => false,
        };
        if !in_time {
            let calls = self.worker.usage().calls;
            tracing::warn!(calls, "calls were cut off");
        }
        self.worker.shut_down(&self.clock);

        let mut lateness = Lateness::empty();
        let deadline = self.clock.now() + LINGER;
        for thread in self.threads {
            tokio::select! {
                _ = thread.ended => { let _ = thread.handle.join(); }
                () = self.clock.sleep_until(deadline) => {}
            }
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

fn prepare(connection: TcpStream) -> io::Result<std::net::TcpStream> {
    // An answer is small and must not wait for another one.
    connection.set_nodelay(true)?;
    connection.into_std()
}

/// Serves what comes over `connections`, until told to stop and the last one is closed.
async fn serve<H: tonic_health::pb::health_server::Health>(
    controller: ControllerServer<Controller>,
    health: tonic_health::pb::health_server::HealthServer<H>,
    connections: mpsc::Receiver<std::net::TcpStream>,
    settings: &Settings,
    mut stop: watch::Receiver<bool>,
) {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(hyperfake_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (reflection, reflection_alpha) =
        match (reflection().build_v1(), reflection().build_v1alpha()) {
            (Ok(reflection), Ok(alpha)) => (Some(reflection), Some(alpha)),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "no server reflection");
                (None, None)
            }
        };
    let connections = ReceiverStream::new(connections).map(TcpStream::from_std);
    let served = Transport::builder()
        // Many small calls at once on one connection need a large window, or h2 takes them for
        // an attack.
        .initial_connection_window_size(16 << 20)
        .initial_stream_window_size(1 << 20)
        .max_concurrent_streams(settings.max_streams)
        .http2_max_local_error_reset_streams(Some(1024))
        .add_service(controller)
        .add_service(health)
        .add_optional_service(reflection)
        .add_optional_service(reflection_alpha)
        .serve_with_incoming_shutdown(connections, async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "a thread stopped serving");
    }
}
