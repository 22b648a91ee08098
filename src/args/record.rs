#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

use std::path::PathBuf;

use clap::Args;

use crate::record::Format;

/// Where a row about each call is written.
#[derive(Debug, Clone, Args)]
pub struct RecordArgs {
    /// A file for one row about each call, which is continued if it is a record already: .csv,
    /// .jsonl, or .parquet in a program that was built with it; SIGHUP reopens it
    #[arg(long, env = "HYPERFAKE_RECORD", value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// The columns of --record: all that is known of a call (own), or those of other people's files,
    /// which are CSV: azure2021, invitro, huawei2025
    #[arg(long, env = "HYPERFAKE_RECORD_FORMAT", value_name = "FORMAT", default_value = "own")]
    pub record_format: Format,
}

/// The options of `hyperfake plot`.
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// The record: a file that --record of the server or of 'hyperfake load' wrote, .csv or .jsonl
    pub record: PathBuf,

    /// The picture, which is written anew [default: named like the record, with .svg]
    #[arg(long, value_name = "FILE.svg")]
    pub out: Option<PathBuf>,

    /// Only the calls of these functions, by id or image, separated by commas
    #[arg(long, value_name = "FUNCTION,…", value_delimiter = ',')]
    pub functions: Vec<String>,
}
