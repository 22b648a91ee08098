#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Subcommand, value_parser};

use super::values::size;
use crate::duration;

/// Functions in etcd.
#[derive(Debug, Clone, Args)]
pub struct EtcdArgs {
    /// A member of the etcd in which functions are, as HOST:PORT or http://HOST:PORT; this may be
    /// repeated, and its variable takes several separated by commas [default: localhost:2379, or for
    /// a worker with --containerized etcd:2379]
    #[arg(
        long = "etcd-endpoint",
        env = "HYPERFAKE_ETCD_ENDPOINT",
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    pub etcd_endpoints: Vec<String>,

    /// Where functions are in etcd: below this and a slash
    #[arg(
        long,
        env = "HYPERFAKE_METADATA_PREFIX",
        value_name = "KEY",
        default_value = "hyperfaas/functions"
    )]
    pub metadata_prefix: String,

    /// How long etcd may take, connecting and answering, each time that it is asked
    #[arg(long, env = "HYPERFAKE_METADATA_DIAL_TIMEOUT", value_name = "DURATION",
          default_value = "5s", value_parser = duration::parse)]
    pub metadata_dial_timeout: Duration,
}

/// The options of `hyperfake function`.
#[derive(Debug, Args)]
pub struct FunctionArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: FunctionCommand,
}

/// What to do with functions.
#[derive(Debug, Subcommand)]
pub enum FunctionCommand {
    /// Register a function, and show its id
    Create {
        /// The image, such as hyperfaas-echo:latest
        image: String,
        /// What it may use.
        #[command(flatten)]
        limits: FunctionLimitArgs,
        /// Where functions are.
        #[command(flatten)]
        target: FunctionTargetArgs,
    },
    /// List the functions
    List {
        /// Where functions are.
        #[command(flatten)]
        target: FunctionTargetArgs,
    },
    /// Change a function; what is not given stays
    Update {
        /// The function's id
        id: String,
        /// The new image
        #[arg(long, value_name = "IMAGE")]
        image_tag: Option<String>,
        /// What it may use.
        #[command(flatten)]
        limits: FunctionLimitArgs,
        /// Where functions are.
        #[command(flatten)]
        target: FunctionTargetArgs,
    },
    /// Delete a function
    Delete {
        /// The function's id
        id: String,
        /// Where functions are.
        #[command(flatten)]
        target: FunctionTargetArgs,
    },
}

/// What a function may use. The defaults are those of the platform's own command line.
#[derive(Debug, Clone, Default, Args)]
pub struct FunctionLimitArgs {
    /// The period in which CPU time is counted, in microseconds [default: 100000 for a new function]
    #[arg(long, value_name = "N", value_parser = value_parser!(i64).range(1..))]
    pub cpu_period: Option<i64>,

    /// The CPU time in each period, in microseconds: of a period of 100000, 50000 is half a core
    /// [default: 50000 for a new function]
    #[arg(long, value_name = "N", value_parser = value_parser!(i64).range(1..))]
    pub cpu_quota: Option<i64>,

    /// The memory of an instance [default: 256MiB for a new function]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<ByteSize>,

    /// The calls that an instance runs at once [default: 500 for a new function]
    #[arg(long, value_name = "N", value_parser = value_parser!(i32).range(1..))]
    pub max_concurrency: Option<i32>,

    /// How long a leaf keeps instances without calls, in whole seconds [default: 30s for a new
    /// function]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub function_timeout: Option<Duration>,
}

/// Where functions are.
#[derive(Debug, Clone, Args)]
pub struct FunctionTargetArgs {
    /// etcd.
    #[command(flatten)]
    pub etcd: EtcdArgs,

    /// The registry of 2025 that speaks HTTP, instead of etcd; it can only create functions
    #[arg(long, value_name = "URL")]
    pub database_address: Option<String>,

    /// The longest that the command may take
    #[arg(short, long, value_name = "DURATION", default_value = "30s",
          value_parser = duration::parse)]
    pub timeout: Duration,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
