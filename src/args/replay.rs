#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{Args, value_parser};

use super::{
    FunctionLimitArgs, SenderArgs,
    values::{factor, size},
};
use crate::duration;

/// The options of `hyperfake replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The trace: a file, or a folder with several. Known are Azure 2019 and 2021, Huawei 2023 and
    /// 2025, InVitro's folders, FaaSNet, and records of this program
    pub trace: PathBuf,

    /// Begin here, counted from the beginning of the trace
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration::parse)]
    pub from: Duration,

    /// Replay so much of the trace [default: to its end]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub length: Option<Duration>,

    /// Replay so many functions, drawn at random [default: all]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub functions: Option<u32>,

    /// Replay only these: image, function or application, as the trace calls it, separated by commas
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Make so many calls of each call of the trace: 0.1 is a tenth of the load
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = factor)]
    pub rate: f64,

    /// Where the random moments within a minute, and in virtual time all else that is random, come from
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,

    /// The run time of functions of which the trace does not say it [default: they are left out]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub run_time: Option<Duration>,

    /// The CPU that a call holds, in cores, where the trace does not say
    #[arg(long, value_name = "CORES", default_value = "1", value_parser = factor)]
    pub cpu: f64,

    /// The memory that a call holds, where the trace does not say
    #[arg(long, value_name = "SIZE", default_value = "200MB", value_parser = size)]
    pub ram: ByteSize,

    /// What a column of calls stands for in a folder of InVitro's, such as 1s if its granularity is
    /// seconds [default: 1m]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub column: Option<Duration>,

    /// Write the models of the functions and a list of them into this folder: a worker serves them
    /// with --models-dir
    #[arg(long, value_name = "FOLDER")]
    pub models_out: Option<PathBuf>,

    /// Read the trace and show what would be replayed, and call nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Replay in virtual time, as fast as it goes, on a worker in this process without any sockets
    #[arg(long = "virtual")]
    pub is_virtual: bool,

    /// Options of 'hyperfake server' for the worker of --virtual, such as '--scenario realistic'; with
    /// -m or --models-dir among them, functions have those models instead of the trace's
    #[arg(long, value_name = "OPTIONS", requires = "is_virtual", allow_hyphen_values = true)]
    pub server: Option<String>,

    /// What functions are registered with [default: memory for a call, by 128 MiB, and the CPU of one]
    #[command(flatten)]
    pub limits: FunctionLimitArgs,

    /// Where and how calls are sent.
    #[command(flatten)]
    pub sender: SenderArgs,

    /// Connections to spread the calls over
    #[arg(long, value_name = "N", default_value = "16",
          value_parser = value_parser!(u32).range(1..=10_000))]
    pub connections: u32,

    /// The longest that registering and then each call, with a start that it waits for, may take
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration::parse)]
    pub deadline: Duration,

    /// A file for one row about each call: as this client saw it, or with --virtual all that the
    /// worker knows; it is continued if it is a record already
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
