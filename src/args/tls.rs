use std::path::PathBuf;

use clap::Args;

/// The files of a server's TLS.
#[derive(Debug, Clone, Default, Args)]
pub struct ServerTlsArgs {
    /// A file with the server's certificate and those that lead to its authority (PEM): gRPC and the
    /// page are served with TLS, and a registry at an https:// address; SIGHUP reads this
    /// and the other --tls files again
    #[arg(long, env = "HYPERFAKE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// A file with the key of --tls-cert (PEM)
    #[arg(long, env = "HYPERFAKE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// A file with authorities (PEM): only clients with a certificate of one of them are served
    #[arg(long, env = "HYPERFAKE_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,

    /// A file with the authorities that are believed (PEM), to ask a registry at an https:// address
    /// [default: those of this machine]
    #[arg(long, env = "HYPERFAKE_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
}

/// The files of a client's TLS.
#[derive(Debug, Clone, Default, Args)]
pub struct ClientTlsArgs {
    /// A file with the authorities that are believed (PEM), for addresses that begin with https://
    /// [default: those of this machine]
    #[arg(long, env = "HYPERFAKE_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// A file with the client's own certificate (PEM), for a server that asks for one
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// A file with the key of --tls-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// The name that the worker's certificate must have [default: the host of --address]
    #[arg(long, value_name = "NAME")]
    pub tls_server_name: Option<String>,
}
