use std::{fmt, path::PathBuf, sync::Arc};

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyperfake_predictor::{Error, Result};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, client::WantsClientCert, pki_types::ServerName,
    sign::SingleCertAndKey,
};

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
        let config = believing(roots)?;
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

    /// Without authorities: no server is believed.
    ///
    /// # Errors
    ///
    /// When the cryptography cannot be set up.
    pub fn none() -> Result<Self> {
        let config = believing(Arc::new(RootCertStore::empty()))?.with_no_client_auth();
        Ok(Self { config: Arc::new(config), server_name: None })
    }

    /// The same, for servers whose certificate has the name of their host.
    #[must_use]
    pub fn for_any_host(&self) -> Self {
        Self { server_name: None, ..self.clone() }
    }

    /// Connects with TLS where an address begins with `https://`, and else in plain text.
    #[must_use]
    pub fn connector(&self, protocol: Protocol) -> HttpsConnector<HttpConnector> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let builder = HttpsConnectorBuilder::new().with_tls_config((*self.config).clone());
        let builder = builder.https_or_http();
        let builder = match &self.server_name {
            None => builder,
            Some(name) => {
                builder.with_server_name_resolver(FixedServerNameResolver::new(name.clone()))
            }
        };
        match protocol {
            Protocol::Http2 => builder.enable_http2().wrap_connector(http),
            Protocol::Http1 => builder.enable_http1().wrap_connector(http),
        }
    }
}

fn believing(roots: Arc<RootCertStore>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("cannot set up TLS").with_source(error))?;
    Ok(config.with_root_certificates(roots))
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
        true => {
            let message = "found no authorities that this machine believes; name a file with some";
            Err(Error::not_found(message).at("--tls-ca"))
        }
    }
}
