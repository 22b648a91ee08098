//! Sockets: bound when the program starts, so that an address in use is an error at once, and
//! listening when their endpoint is to serve.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// A bound address that does not accept connections yet.
#[derive(Debug)]
pub struct Bound(Socket);

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// Raises the limit on open files to the most that the system allows: a fleet has many sockets.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
}

/// How many descriptors the process may have.
pub(crate) fn descriptors() -> usize {
    let most = getrlimit(Resource::Nofile).current;
    most.and_then(|most| most.try_into().ok()).unwrap_or(usize::MAX)
}

/// Binds an address. `[::]` accepts IPv4 as well, and means `0.0.0.0` on a machine without IPv6.
///
/// # Errors
///
/// When the address cannot be bound, for example because it is in use.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    match bind_exactly(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && !has_ipv6(&error) => {
            bind_exactly((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
}

/// Binds a port of every address of the loopback network: connections from elsewhere do not reach
/// it.
///
/// # Errors
///
/// When the port is in use, and when the system cannot bind to a device or has no such network.
pub fn bind_to_loopback(port: u16) -> io::Result<Bound> {
    #[cfg(target_os = "linux")]
    {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.bind_device(Some(b"lo"))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
        Ok(Bound(socket))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let message = format!("only Linux has all of 127.0.0.0/8, for port {port}");
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }
}

fn bind_exactly(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Connections of a worker that just ended must not block the port.
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
    /// The address, with the port that the system chose if the port was 0.
    ///
    /// # Errors
    ///
    /// When the system cannot tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let address = self.0.local_addr()?;
        address.as_socket().ok_or_else(|| io::Error::other("found a socket without an IP address"))
    }

    /// Starts to accept connections, which wait until [`Bound::listen`] is called as well.
    ///
    /// # Errors
    ///
    /// When another socket listens on this address.
    pub(crate) fn accept_connections(&self) -> io::Result<()> {
        self.0.listen(BACKLOG)
    }

    /// Starts to accept connections.
    ///
    /// # Errors
    ///
    /// When another socket listens on this address by now.
    pub fn listen(self) -> io::Result<TcpListener> {
        let address = self.address()?;
        let listening = self.0.listen(BACKLOG).and_then(|()| TcpListener::from_std(self.0.into()));
        listening.map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
    }
}
