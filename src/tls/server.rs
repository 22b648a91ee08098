use std::{fmt, path::PathBuf, sync::Arc};

use hyperfake_predictor::{Error, Result};
use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::SingleCertAndKey,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Protocol, Stream,
    files::{Named, authorities, identity},
    provider,
};

/// What a server's TLS is made of.
#[derive(Debug, Clone)]
pub struct ServerFiles {
    /// The certificate, and those that lead from it to its authority.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities of clients. With them, only a client with a certificate of theirs is served.
    pub client_ca: Option<PathBuf>,
}

/// The TLS of accepted connections; a clone is the same, also after a reload.
#[derive(Clone)]
pub struct ServerTls(Arc<Shared>);

struct Shared {
    files: ServerFiles,
    /// For each protocol; read once for each connection.
    current: RwLock<Configs>,
}

struct Configs {
    http2: Arc<ServerConfig>,
    http1: Arc<ServerConfig>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// When one cannot be read or used; one line with its flag and name.
    pub fn load(files: ServerFiles) -> Result<Self> {
        let current = RwLock::new(read(&files)?);
        Ok(Self(Arc::new(Shared { files, current })))
    }

    /// Reads the files again, for connections that are accepted from now on.
    ///
    /// # Errors
    ///
    /// As [`ServerTls::load`]; then everything stays as it is.
    pub fn reload(&self) -> Result<()> {
        let new = read(&self.0.files)?;
        *self.0.current.write() = new;
        Ok(())
    }

    /// What it is made of.
    #[must_use]
    pub fn files(&self) -> &ServerFiles {
        &self.0.files
    }

    /// The server's side of a stream that was accepted.
    pub(super) fn wrap<S>(&self, stream: S, protocol: Protocol) -> Stream<S>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let current = self.0.current.read();
        let config = match protocol {
            Protocol::Http2 => &current.http2,
            Protocol::Http1 => &current.http1,
        };
        Stream::handshake(TlsAcceptor::from(Arc::clone(config)).accept(stream))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerTls").field(&self.0.files).finish()
    }
}

fn read(files: &ServerFiles) -> Result<Configs> {
    let internal = |error: rustls::Error| Error::internal("cannot set up TLS").with_source(error);
    let identity = identity(
        Named { flag: "--tls-cert", path: &files.cert },
        Named { flag: "--tls-key", path: &files.key },
    )?;
    let clients: Arc<dyn ClientCertVerifier> = match &files.client_ca {
        None => Arc::new(NoClientAuth),
        Some(path) => {
            let file = Named { flag: "--tls-client-ca", path };
            WebPkiClientVerifier::builder_with_provider(authorities(file)?, provider())
                .build()
                .map_err(|error| Error::internal("cannot set up TLS").with_source(error))?
        }
    };
    let config = |protocol: Protocol| {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(internal)?
            .with_client_cert_verifier(Arc::clone(&clients))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from((*identity).clone())));
        config.alpn_protocols = protocol.alpn();
        Ok(Arc::new(config))
    };
    Ok(Configs { http2: config(Protocol::Http2)?, http1: config(Protocol::Http1)? })
}
