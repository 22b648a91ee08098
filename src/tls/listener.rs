use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use super::{Protocol, ServerTls, Stream};

/// Listens for HTTP/1.1, in plain text or with TLS.
#[derive(Debug)]
pub struct HttpListener {
    listener: TcpListener,
    tls: Option<ServerTls>,
}

impl HttpListener {
    /// With TLS if it is given.
    #[must_use]
    pub fn new(listener: TcpListener, tls: Option<ServerTls>) -> Self {
        Self { listener, tls }
    }
}

impl axum::serve::Listener for HttpListener {
    type Io = Stream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
        (Stream::accepted(stream, self.tls.as_ref(), Protocol::Http1), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
