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

/// Raises the limit on open files to the most that the system allows: a fleet has many sockets.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
}

/// How many descriptors the process may have.
pub(super) fn descriptors() -> usize {
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

    /// Starts to accept connections.
    ///
    /// # Errors
    ///
    /// When another socket listens on this address by now.
    pub fn listen(self) -> io::Result<TcpListener> {
        let address = self.address()?;
        let listening = self.0.listen(4096).and_then(|()| TcpListener::from_std(self.0.into()));
        listening.map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
    }
}
