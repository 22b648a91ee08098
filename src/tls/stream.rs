use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{Accept, server::TlsStream};

use super::{Protocol, ServerTls};
use crate::clock::{Throttle, precise};

/// A stream that was accepted, in plain text or with TLS.
///
/// With TLS, the first read or write does the handshake. So accepting never waits for a client, and
/// whatever limits the time to the first byte of a request limits the handshake as well.
pub struct Stream<S>(State<S>);

enum State<S> {
    Plain(S),
    Handshake(Box<Accept<S>>),
    Tls(Box<TlsStream<S>>),
    /// The handshake failed.
    Failed,
}

/// When the last warning of a handshake that failed was logged.
static WARNINGS: Throttle = Throttle::every(Duration::from_secs(1));

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// A stream that was accepted; without TLS in plain text.
    pub fn accepted(stream: S, tls: Option<&ServerTls>, protocol: Protocol) -> Self {
        match tls {
            None => Self(State::Plain(stream)),
            Some(tls) => tls.wrap(stream, protocol),
        }
    }

    pub(super) fn handshake(accept: Accept<S>) -> Self {
        Self(State::Handshake(Box::new(accept)))
    }

    /// What carries it, unless it is gone with a handshake that failed.
    #[must_use]
    pub fn carrier(&self) -> Option<&S> {
        match &self.0 {
            State::Plain(stream) => Some(stream),
            State::Handshake(accept) => accept.get_ref(),
            State::Tls(stream) => Some(stream.get_ref().0),
            State::Failed => None,
        }
    }

    /// The stream once the handshake is done.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Open<'_, S>>> {
        if let State::Handshake(accept) = &mut self.0 {
            match ready!(Pin::new(accept).poll(context)) {
                Ok(stream) => self.0 = State::Tls(Box::new(stream)),
                Err(error) => {
                    if WARNINGS.is_due(precise::now()) {
                        tracing::warn!(%error, "a TLS handshake failed");
                    }
                    self.0 = State::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(match &mut self.0 {
            State::Plain(stream) => Ok(Open::Plain(stream)),
            State::Tls(stream) => Ok(Open::Tls(stream)),
            State::Handshake(_) | State::Failed => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

enum Open<'a, S> {
    Plain(&'a mut S),
    Tls(&'a mut TlsStream<S>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(self.get_mut().poll_open(context))? {
            Open::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Open::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.get_mut().poll_open(context))? {
            Open::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Open::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.get_mut().poll_open(context))? {
            Open::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Open::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            State::Plain(stream) => stream.is_write_vectored(),
            // It copies each slice into records, one after the other.
            State::Handshake(_) | State::Tls(_) | State::Failed => true,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.get_mut().poll_open(context))? {
            Open::Plain(stream) => Pin::new(stream).poll_flush(context),
            Open::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            State::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            State::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            // A client that did not finish its handshake is owed no goodbye.
            State::Handshake(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }
}

impl<S> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.0 {
            State::Plain(_) => "plain",
            State::Handshake(_) => "handshake",
            State::Tls(_) => "tls",
            State::Failed => "failed",
        };
        f.debug_tuple("Stream").field(&state).finish()
    }
}
