use std::{fmt, path::PathBuf, sync::Arc};

use hyperfake_predictor::{Error, Result};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName, sign::SingleCertAndKey};

use super::{
    Protocol,
    files::{Named, authorities, identity},
    provider,
};

/// What a client's TLS is made of.
#[derive(Debug, Clone, Default)]
pub struct ClientFiles {
    /// The authorities that are believed; without it, those that this machine believes.
    pub ca: Option<PathBuf>,
    /// The client's own certificate and its key, for a server that asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have, if it is not the host's.
    pub server_name: Option<String>,
}

/// The TLS of connections that are made; a clone is the same.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// When one cannot be read or used, or the name is none; one line with its flag and name.
    pub fn load(files: &ClientFiles) -> Result<Self> {
        let roots = match &files.ca {
            Some(path) => authorities(Named { flag: "--tls-ca", path })?,
            None => Arc::new(of_this_machine()?),
        };
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal("cannot set up TLS").with_source(error))?
            .with_root_certificates(roots);
        let config = match &files.identity {
            None => config.with_no_client_auth(),
            Some((cert, key)) => {
                let identity = identity(
                    Named { flag: "--tls-cert", path: cert },
                    Named { flag: "--tls-key", path: key },
                )?;
                let identity = SingleCertAndKey::from((*identity).clone());
                config.with_client_cert_resolver(Arc::new(identity))
            }
        };
        let server_name = files.server_name.clone().map(|name| {
            let message = format!("found '{name}', expected a host name or an IP address");
            ServerName::try_from(name).map_err(|_| Error::invalid(message).at("--tls-server-name"))
        });
        Ok(Self { config: Arc::new(config), server_name: server_name.transpose()? })
    }

    /// The configuration for a protocol.
    #[must_use]
    pub fn config(&self, protocol: Protocol) -> ClientConfig {
        let mut config = (*self.config).clone();
        config.alpn_protocols = protocol.alpn();
        config
    }

    /// The name that the certificate of the server at this host must have.
    ///
    /// # Errors
    ///
    /// When the host has no name that a certificate could have.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(host.to_owned()).map_err(|error| {
                Error::invalid(format!("found the host '{host}'")).with_source(error)
            }),
        }
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// The authorities that this machine believes. Those that rustls cannot use are left out.
fn of_this_machine() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    match roots.is_empty() {
        false => Ok(roots),
        true => Err(Error::not_found(
            "found no authorities that this machine believes; name a file with them with --tls-ca",
        )),
    }
}
