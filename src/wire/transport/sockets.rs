//! Sockets: bound before anything is promised, listening when a server's turn comes, and counted.

use std::{
    io::{self, IoSlice},
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::clock::{Clock, Sleep};

/// An address that was taken, but on which nobody listens yet.
#[derive(Debug)]
pub struct Bound(Socket);

/// Asks the system for as many open files as it lets this process have: a fleet has many sockets.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
}

/// Takes an address. `[::]` takes IPv4 as well, and stands for `0.0.0.0` on a machine without
/// IPv6.
///
/// # Errors
///
/// When the address cannot be had, for example because it is in use.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    match bind_exactly(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && !has_ipv6(&error) => {
            bind_exactly((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
}

fn bind_exactly(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A worker that was stopped a moment ago must not keep the next one from its port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(Bound(socket))
}

fn has_ipv6(error: &io::Error) -> bool {
    let no_ipv6 = [io::ErrorKind::AddrNotAvailable, io::ErrorKind::Unsupported];
    // EAFNOSUPPORT has no kind of its own.
    !(no_ipv6.contains(&error.kind()) || error.raw_os_error() == Some(97))
}

impl Bound {
    /// The address, with the port that the system chose where any would do.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let address = self.0.local_addr()?;
        address.as_socket().ok_or_else(|| io::Error::other("not an address of the internet"))
    }

    /// Lets clients connect.
    ///
    /// # Errors
    ///
    /// When somebody else listens on this address by now.
    pub fn listen(self) -> io::Result<TcpListener> {
        let address = self.address()?;
        let listening = self.0.listen(4096).and_then(|()| TcpListener::from_std(self.0.into()));
        listening.map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
    }
}

/// A connection that counts as one of its server's for as long as it is open.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// What has to come before HTTP/2's own checks of a silent client begin.
    greeting: Option<Greeting>,
    _counted: OwnedSemaphorePermit,
}

/// A connection on its way to its thread.
pub(crate) struct Arrival {
    stream: std::net::TcpStream,
    greeting: Greeting,
    counted: OwnedSemaphorePermit,
}

/// The first bytes of every client, the connection preface of RFC 9113, section 3.4.
#[derive(Debug)]
struct Greeting {
    missing: usize,
    patience: Sleep,
}

/// The length of the preface.
const PREFACE: usize = 24;
/// A connection whose client has not greeted after this time is closed.
const PATIENCE: Duration = Duration::from_secs(10);

impl Arrival {
    pub(crate) fn new(
        stream: TcpStream,
        counted: OwnedSemaphorePermit,
        clock: &Clock,
    ) -> io::Result<Self> {
        // An answer is small and must not wait for another one.
        stream.set_nodelay(true)?;
        let patience = clock.sleep_until(clock.now() + PATIENCE);
        let greeting = Greeting { missing: PREFACE, patience };
        Ok(Self { stream: stream.into_std()?, greeting, counted })
    }

    /// On the thread that will serve it.
    pub(crate) fn arrive(self) -> io::Result<Connection> {
        let stream = TcpStream::from_std(self.stream)?;
        Ok(Connection { stream, greeting: Some(self.greeting), _counted: self.counted })
    }
}

impl Connection {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().stream)
    }

    /// Takes note of bytes that came, or, when none came, of the time.
    fn greet(&mut self, came: Option<usize>, context: &mut Context<'_>) -> io::Result<()> {
        let Some(greeting) = &mut self.greeting else { return Ok(()) };
        greeting.missing = greeting.missing.saturating_sub(came.unwrap_or(0));
        if greeting.missing == 0 {
            self.greeting = None;
        } else if came.is_none() && Pin::new(&mut greeting.patience).poll(context).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.as_mut().stream().poll_read(context, buffer);
        let came = read.is_ready().then(|| buffer.filled().len() - before);
        match self.greet(came, context) {
            Ok(()) => read,
            Err(too_late) => Poll::Ready(Err(too_late)),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
