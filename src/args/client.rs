#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{Args, value_parser};

use super::{
    BodyArgs, ClientTlsArgs, LeafArgs,
    values::{rate, size},
};
use crate::duration;

/// The options of `hyperfake call`.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// The image of the function, such as hyperfaas-echo
    #[arg(required_unless_present = "through")]
    pub image: Option<String>,

    /// The worker and its registry.
    #[command(flatten)]
    pub target: TargetArgs,

    /// Today's platform.
    #[command(flatten)]
    pub leaf: LeafArgs,

    /// What is sent.
    #[command(flatten)]
    pub body: BodyArgs,

    /// How many calls to make
    #[arg(short = 'n', long, value_name = "N", default_value = "1",
          value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub calls: u32,

    /// How many of them to make at once
    #[arg(long, value_name = "N", default_value = "1",
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub concurrency: u32,

    /// The longest that registering, the instance's start, and then each call may take; connecting
    /// and stopping take 5 s at most
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration::parse)]
    pub deadline: Duration,

    /// Show how long the calls took as a histogram as well
    #[arg(long)]
    pub histogram: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The options of `hyperfake load`.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// The images of the functions to call in turn, separated by commas [default: hyperfaas-echo
    /// without --through]
    #[arg(long, value_name = "IMAGE,…", value_delimiter = ',')]
    pub functions: Vec<String>,

    /// Where and how calls are sent.
    #[command(flatten)]
    pub sender: SenderArgs,

    /// Calls each second, sent whether or not earlier ones were answered
    #[arg(long, value_name = "N", default_value = "1000", value_parser = rate)]
    pub rate: f64,

    /// How long calls are sent
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    pub duration: Duration,

    /// Random gaps between calls, as of many independent users, instead of even ones
    #[arg(long)]
    pub poisson: bool,

    /// The seed of the random gaps
    #[arg(long, value_name = "N", default_value = "1", requires = "poisson")]
    pub seed: u64,

    /// Connections to spread the calls over
    #[arg(long, value_name = "N", default_value = "4",
          value_parser = value_parser!(u32).range(1..=10_000))]
    pub connections: u32,

    /// The longest that registering, an instance's start, and then each call may take; connecting
    /// and stopping take 5 s at most
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration::parse)]
    pub deadline: Duration,

    /// Send no calls before the schedule begins, so that connecting is in the result, and what is
    /// left of a cold start when the worker answers Start before it is over
    #[arg(long)]
    pub no_warm_up: bool,

    /// A file for one line about each call
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// A file for one row about each call, as this client saw it, with the columns of the server's
    /// --record; it is continued if it is a record already
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Show how long the calls took as a histogram as well
    #[arg(long)]
    pub histogram: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Where `load` and `replay` send calls, and how.
#[derive(Debug, Clone, Args)]
pub struct SenderArgs {
    /// The worker and its registry.
    #[command(flatten)]
    pub target: TargetArgs,

    /// Today's platform.
    #[command(flatten)]
    pub leaf: LeafArgs,

    /// What is sent.
    #[command(flatten)]
    pub body: BodyArgs,

    /// The size of each request's data; with --through that of a message which parses as any type
    #[arg(long, value_name = "N", default_value = "0")]
    pub data_bytes: usize,

    /// Threads that send, each with some of the connections [default: one for each core, at most
    /// --connections]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
}

/// Which worker is called, and where its functions are registered.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// The worker; with https:// in front, TLS is spoken
    #[arg(
        long,
        env = "HYPERFAKE_ADDRESS",
        value_name = "HOST:PORT",
        default_value = "localhost:50051"
    )]
    pub address: String,

    /// The key-value store in which functions are registered
    #[arg(
        long,
        env = "HYPERFAKE_DATABASE_ADDRESS",
        value_name = "URL",
        default_value = "http://localhost:8999"
    )]
    pub database_address: String,

    /// The largest answer to a call that is taken; a larger one counts as an error
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    pub max_message_size: ByteSize,

    /// TLS.
    #[command(flatten)]
    pub tls: ClientTlsArgs,
}

/// The options of `hyperfake health`.
#[derive(Debug, Clone, Args)]
pub struct HealthArgs {
    /// The worker, or another server of gRPC; with https:// in front, TLS is spoken
    #[arg(
        long,
        env = "HYPERFAKE_ADDRESS",
        value_name = "HOST:PORT",
        default_value = "localhost:50051"
    )]
    pub address: String,

    /// The service that is asked about, such as worker.Worker [default: the server as a whole]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub service: String,

    /// The longest that the answer may take
    #[arg(short, long, value_name = "DURATION", default_value = "5s",
          value_parser = duration::parse)]
    pub timeout: Duration,

    /// TLS.
    #[command(flatten)]
    pub tls: ClientTlsArgs,
}
