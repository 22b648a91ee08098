//! TLS for the sockets of this program and for the connections that it makes, by rustls.
//!
//! A server's certificate, key and authorities are files that can be read again while it serves
//! ([`ServerTls::reload`]). A stream that was accepted is wrapped at once; the handshake is done by
//! the first read or write ([`Stream`]).

mod client;
mod files;
mod server;
mod stream;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use self::{
    client::{ClientFiles, ClientTls},
    server::{ServerFiles, ServerTls},
    stream::Stream,
};

/// What is spoken over TLS, named in the handshake (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2, as gRPC needs it.
    Http2,
    /// HTTP/1.1.
    Http1,
}

impl Protocol {
    fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http2 => vec![b"h2".to_vec()],
            Self::Http1 => vec![b"http/1.1".to_vec()],
        }
    }
}

/// The cryptography: ring's, which needs no C++ compiler and no cmake to build.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
