#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The options of `hyperfake scenario`.
#[derive(Debug, Args)]
pub struct ScenarioArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ScenarioCommand,
}

/// What to do with scenarios.
#[derive(Debug, Subcommand)]
pub enum ScenarioCommand {
    /// Read a scenario and show what it states, or the line and the column of what is wrong in it
    Check {
        /// A file, or the name of a preset
        #[arg(value_name = "FILE|PRESET")]
        scenario: PathBuf,
    },
    /// Print a scenario in full, as JSON, which is a scenario file too: each pattern with what counts for
    /// it of the defaults, and published distributions as numbers
    Print {
        /// A file, or the name of a preset
        #[arg(value_name = "FILE|PRESET")]
        scenario: PathBuf,
        /// Print the file as it is written, with its comments
        #[arg(long)]
        source: bool,
    },
    /// Print the JSON Schema of scenario files, from which editors complete keys
    Schema,
    /// List the scenarios and distributions that can be named, with their sources
    Presets {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}
