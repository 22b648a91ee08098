#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{Args, ValueEnum, value_parser};

use super::{
    ClientTlsArgs,
    compare::score,
    values::{rate, size},
};
use crate::duration;

/// The options of `hyperfake measure`.
#[derive(Debug, Args)]
pub struct MeasureArgs {
    /// Start the function by this command, as a shell takes it; {port} in it, and the variable PORT, is
    /// the port on which it has to serve
    #[arg(long, value_name = "COMMAND", required_unless_present = "target")]
    pub exec: Option<String>,

    /// Call a function that runs already: an instance at its own address, or a leaf with --function, by
    /// gRPC; by HTTP with http:// in front. What it uses of CPU and memory is then not known
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["exec", "instances", "cpus", "memory",
          "cold_starts", "ready_by", "ready"])]
    pub target: Option<String>,

    /// The id of a function, which calls carry as :authority to a leaf
    #[arg(long, value_name = "ID", requires = "target", conflicts_with = "http")]
    pub function: Option<String>,

    /// What is started.
    #[command(flatten)]
    pub instances: InstanceArgs,

    /// What is sent.
    #[command(flatten)]
    pub calls: MeasuredCallArgs,

    /// Calls each second, separated by commas: a phase for each, with each body, in a random order
    /// [default: 10, 30, 50 and 70 % of what it answers when it is always busy, at most 300]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = rate)]
    pub rates: Vec<f64>,

    /// How long each phase takes
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    pub phase: Duration,

    /// How often each phase is made; with more rounds, a machine that becomes slower meanwhile does less
    /// harm
    #[arg(long, value_name = "N", default_value = "1", value_parser = value_parser!(u32).range(1..=1000))]
    pub rounds: u32,

    /// What is cut off the beginning of each phase
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    pub warm_up: Duration,

    /// A file for one row about each call, with the columns of the server's --record; it is continued if
    /// it is a record already
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// TLS.
    #[command(flatten)]
    pub tls: ClientTlsArgs,
}

/// The options of `hyperfake clone`.
#[derive(Debug, Args)]
pub struct CloneArgs {
    /// Start the function by this command, as a shell takes it; {port} in it, and the variable PORT, is
    /// the port on which it has to serve
    #[arg(long, value_name = "COMMAND")]
    pub exec: String,

    /// A folder for the model, the scenario, the records and the report; it is made, and files of an
    /// earlier clone in it are replaced
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,

    /// What is started.
    #[command(flatten)]
    pub instances: InstanceArgs,

    /// What is sent.
    #[command(flatten)]
    pub calls: MeasuredCallArgs,

    /// How long the function is measured; a sixth of that is needed again to call the fake
    #[arg(long, value_name = "DURATION", default_value = "150s", value_parser = duration::parse)]
    pub time: Duration,

    /// The longest that a model is looked for; the best until then is taken
    #[arg(long, value_name = "DURATION", default_value = "45s", value_parser = duration::parse)]
    pub fit_time: Duration,

    /// Fail unless the comparison is valid and the score of the run time is at most this: 0 is no
    /// difference, 1 what a constant would have; 0.5, or score=0.5
    #[arg(long, value_name = "SCORE", value_parser = score)]
    pub fail_above: Option<f64>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Instances of a function that are started as processes.
#[derive(Debug, Clone, Args)]
pub struct InstanceArgs {
    /// How many processes take the calls in turn
    #[arg(long, value_name = "N", default_value = "1", value_parser = value_parser!(u32).range(1..=1000))]
    pub instances: u32,

    /// The CPU time that each may use, in cores; where control groups of version 2 do not allow it, it
    /// is measured without
    #[arg(long, value_name = "CORES", value_parser = cores)]
    pub cpus: Option<f64>,

    /// The memory that each may use; as with --cpus
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<ByteSize>,

    /// How many processes are started, called once and ended before the others, to measure cold starts
    #[arg(long, value_name = "N", default_value = "5", value_parser = value_parser!(u32).range(0..=1000))]
    pub cold_starts: u32,

    /// How it is known that a process is ready: it takes connections; or it has also called SignalReady of
    /// worker.Worker at the address in the variable CONTROLLER_ADDRESS, as functions of HyperFaaS do
    #[arg(long, value_name = "WAY", default_value = "connect")]
    pub ready_by: ReadyBy,

    /// The longest from the start of a process until it is ready
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    pub ready: Duration,
}

/// How it is known that a process is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReadyBy {
    /// It takes connections.
    Connect,
    /// It has called SignalReady.
    Signal,
}

/// The calls that are measured.
#[derive(Debug, Clone, Args)]
pub struct MeasuredCallArgs {
    /// The function's name in the rows and of its model [default: that of the program in --exec, or
    /// 'target']
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// The gRPC method to call; a function that takes any method needs none
    #[arg(long, value_name = "PACKAGE.SERVICE/METHOD", default_value = "hyperfake.Function/Call")]
    pub method: String,

    /// Call by HTTP POST at this path instead
    #[arg(long, value_name = "PATH", conflicts_with_all = ["method", "proto", "proto_path"])]
    pub http: Option<String>,

    /// The sizes of bodies, separated by commas; to gRPC each is a message that parses as any type
    #[arg(long, value_name = "SIZE,…", value_delimiter = ',', value_parser = size,
          default_value = "1KiB,16KiB,64KiB")]
    pub sizes: Vec<ByteSize>,

    /// The method's request in JSON, as it is or in a file, instead of --sizes; its message is that of
    /// --proto. This may be repeated
    #[arg(long, value_name = "JSON|@FILE", requires = "proto", conflicts_with_all = ["sizes", "data_file"])]
    pub json_body: Vec<String>,

    /// A file with a body, instead of --sizes; this may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "sizes")]
    pub data_file: Vec<PathBuf>,

    /// A .proto file or a descriptor set with the method; this may be repeated
    #[arg(long, value_name = "FILE")]
    pub proto: Vec<PathBuf>,

    /// A folder in which imports of --proto are searched for; this may be repeated [default: the
    /// folder of each --proto]
    #[arg(long, value_name = "FOLDER")]
    pub proto_path: Vec<PathBuf>,

    /// The most calls at once on each instance; others wait for a place [default: no limit]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=100_000))]
    pub concurrency: Option<u32>,

    /// The longest that a call may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    pub deadline: Duration,

    /// The seed of the order of the phases, of the gaps between calls and of the bodies
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,
}

fn cores(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(cores) if (0.01..=10_000.0).contains(&cores) => Ok(cores),
        _ => Err("expected a number of cores from 0.01 to 10000, such as 0.5".into()),
    }
}
