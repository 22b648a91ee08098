#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

use std::path::PathBuf;

use clap::Args;

use super::EtcdArgs;

/// Calls of today's platform.
#[derive(Debug, Clone, Args)]
pub struct LeafArgs {
    /// Call through the leaf whose data plane is there, or the instance that has this address, instead
    /// of a worker by the API of 2025; an image is then registered in etcd, and stays there. With
    /// https:// in front, TLS is spoken
    #[arg(long, value_name = "HOST:PORT")]
    pub through: Option<String>,

    /// The id of a function that is registered, instead of an image: calls carry it as :authority; load
    /// takes several, separated by commas [default: the address of --through, as at an instance]
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub function: Vec<String>,

    /// The method to call with --through
    #[arg(long, value_name = "PACKAGE.SERVICE/METHOD")]
    pub method: Option<String>,

    /// The method's request in JSON, as it is or in a file; its message is that of --proto
    #[arg(long, value_name = "JSON|@FILE")]
    pub json_body: Option<String>,

    /// A .proto file or a descriptor set with the method; this may be repeated. An answer is then shown
    /// as JSON
    #[arg(long, value_name = "FILE")]
    pub proto: Vec<PathBuf>,

    /// A folder in which imports of --proto are searched for; this may be repeated [default: the
    /// folder of each --proto]
    #[arg(long, value_name = "FOLDER")]
    pub proto_path: Vec<PathBuf>,

    /// Functions in etcd.
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// What a request carries.
#[derive(Debug, Clone, Args)]
pub struct BodyArgs {
    /// The request's data; with --through the bytes of its message
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub data: String,

    /// A file with the request's data
    #[arg(long, value_name = "FILE")]
    pub data_file: Option<PathBuf>,
}
