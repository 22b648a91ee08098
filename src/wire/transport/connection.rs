//! Connections, each with its places and its account, and closed when the client sends nothing.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{account::Account, frames::PREFACE_BYTES, peers::Place};
use crate::{
    clock::{Clock, Sleep},
    tls::{Protocol, ServerTls, Stream},
};

/// A connection on the call thread that serves it.
#[derive(Debug)]
pub struct Connection {
    stream: Stream<TcpStream>,
    /// Until the client has sent the preface. HTTP/2's own keepalive begins only then.
    preface: Option<PrefaceDeadline>,
    admission: Admission,
}

/// A connection on its way to a call thread: not registered with the runtime of either thread.
pub(super) struct AcceptedConnection {
    stream: std::net::TcpStream,
    preface: PrefaceDeadline,
    admission: Admission,
}

/// What a connection has while it is open.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) account: Account,
    /// Its places: of the endpoint, and of the process.
    pub(super) _places: [Place; 2],
}

/// The time in which a client has to do the TLS handshake, if there is one, and to send the connection
/// preface (RFC 9113, section 3.4).
#[derive(Debug)]
struct PrefaceDeadline {
    missing_bytes: usize,
    timeout: Sleep,
}

/// A connection without a preface is closed after this time.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);

impl AcceptedConnection {
    pub(super) fn new(stream: TcpStream, admission: Admission, clock: &Clock) -> io::Result<Self> {
        // A response is small, and must not wait until more data follow.
        stream.set_nodelay(true)?;
        let timeout = clock.sleep_until(clock.now() + PREFACE_TIMEOUT);
        let preface = PrefaceDeadline { missing_bytes: PREFACE_BYTES, timeout };
        Ok(Self { stream: stream.into_std()?, preface, admission })
    }

    /// Registers the connection with the runtime of the calling thread.
    pub(super) fn register(self, tls: Option<&ServerTls>) -> io::Result<Connection> {
        let stream = TcpStream::from_std(self.stream)?;
        let stream = Stream::accepted(stream, tls, Protocol::Http2);
        Ok(Connection { stream, preface: Some(self.preface), admission: self.admission })
    }
}

impl Connection {
    /// The address that the client connected to. It tells more than the listener's address if the
    /// listener accepts connections to every address of the machine.
    ///
    /// # Errors
    ///
    /// When the system cannot tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        self.stream.carrier().ok_or_else(gone)?.local_addr()
    }

    /// What the client holds.
    pub(in crate::wire) fn account(&self) -> &Account {
        &self.admission.account
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut Stream<TcpStream>> {
        Pin::new(&mut self.get_mut().stream)
    }

    /// What a write that cannot go on yet returns. HTTP/2 writes before it reads the preface, and a
    /// client that leaves its TLS handshake unfinished holds that up.
    fn blocked<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        match self.check_preface(None, context) {
            Ok(()) => Poll::Pending,
            Err(timed_out) => Poll::Ready(Err(timed_out)),
        }
    }

    /// Counts the bytes of the preface that a read returned; checks its deadline if there were none.
    fn check_preface(
        &mut self,
        received: Option<usize>,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        let Some(preface) = &mut self.preface else { return Ok(()) };
        preface.missing_bytes = preface.missing_bytes.saturating_sub(received.unwrap_or(0));
        if preface.missing_bytes == 0 {
            self.preface = None;
        } else if received.is_none() && Pin::new(&mut preface.timeout).poll(context).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
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
        let received = read.is_ready().then(|| buffer.filled().len() - before);
        match self.check_preface(received, context) {
            Ok(()) => read,
            Err(timed_out) => Poll::Ready(Err(timed_out)),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.as_mut().stream().poll_write(context, bytes) {
            Poll::Pending => self.blocked(context),
            written => written,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.as_mut().stream().poll_write_vectored(context, slices) {
            Poll::Pending => self.blocked(context),
            written => written,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.as_mut().stream().poll_flush(context) {
            Poll::Pending => self.blocked(context),
            flushed => flushed,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
