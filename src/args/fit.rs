#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{Args, builder::RangedU64ValueParser};

use super::values::size;
use crate::{
    duration,
    fit::{Kind, Options},
};

/// The options of `hyperfake fit`.
#[derive(Debug, Args)]
pub struct FitArgs {
    /// Files with a row about each call, also compressed (.gz): records of HyperFake, HyperFaaS's
    /// training data, the Azure Functions trace of 2021, the requests in the Huawei trace of 2025
    #[arg(required = true, value_name = "ROWS")]
    pub rows: Vec<PathBuf>,

    /// The model: a table of quantiles (.json) or a network (.onnx); a name without such an ending gets
    /// that of the better one. Written beside it: .settings, .report and .report.md
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,

    /// The kind of model, where the name of the file does not say it: auto, table or network
    #[arg(long, value_name = "KIND", default_value = "auto")]
    pub kind: Kind,

    /// The function, by id or image; needed if the rows have the calls of several
    #[arg(long, value_name = "FUNCTION")]
    pub function: Option<String>,

    /// Leave out this much of the beginning
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration::parse)]
    pub warm_up: Duration,

    /// Learn from the first calls of instances too, which often run for longer
    #[arg(long)]
    pub keep_cold: bool,

    /// The CPU of each call, in cores, if the rows do not know it
    #[arg(long, value_name = "CORES", allow_negative_numbers = true)]
    pub cpu_cores: Option<f64>,

    /// The memory of each call, if the rows do not know it
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub ram: Option<ByteSize>,

    /// What the model answers to calls, as in the setting 'response': echo, empty, text:…
    #[arg(long, value_name = "RESPONSE")]
    pub response: Option<String>,

    /// Where the random numbers of the training start
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,

    /// How many steps of gradient descent a network is trained for; 0 for no network
    #[arg(long, value_name = "N", default_value_t = Options::STEPS,
          value_parser = RangedU64ValueParser::<usize>::new().range(0..=1_000_000_000))]
    pub steps: usize,
}
