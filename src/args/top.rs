#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

use clap::Args;

use super::ClientTlsArgs;

/// The options of `hyperfake top`.
#[derive(Debug, Clone, Args)]
pub struct TopArgs {
    /// The page of the server, as --http of 'hyperfake server' says where it is; with https:// in front,
    /// TLS is spoken
    #[arg(
        long,
        env = "HYPERFAKE_HTTP",
        value_name = "HOST:PORT|URL",
        default_value = "localhost:8990"
    )]
    pub http: String,

    /// The token of that page, if the server has --http-token
    #[arg(long, env = "HYPERFAKE_HTTP_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub http_token: Option<String>,

    /// Show what is the case now as text, and end; this is done as well where standard output is no
    /// terminal
    #[arg(long)]
    pub once: bool,

    /// TLS.
    #[command(flatten)]
    pub tls: ClientTlsArgs,
}
