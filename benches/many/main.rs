//! How many and how much: the time from start to service, and the memory of an idle worker, of an
//! idle instance, of a call in flight and of each worker of a fleet.
//!
//! `just bench-many` runs it. The worker is the real program in a process of its own, and this is
//! the client.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench may fail, prints, and measures with the system's time"
)]

mod client;
mod measure;
#[path = "../process.rs"]
mod process;
mod row;
mod worker;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, ValueEnum};
use serde_json::json;

use self::{measure::Sizes, row::Row};

#[derive(Debug, Parser)]
#[command(name = "bench-many")]
struct Args {
    /// Measure; without this nothing is done, as when all benches are run
    #[arg(long)]
    measure: bool,
    /// One round, and fewer of everything
    #[arg(long)]
    quick: bool,
    /// Rounds of each measurement [default: 5, or 1 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Fail when something that is wanted is not so
    #[arg(long)]
    check: bool,
    /// Measure only these
    #[arg(long, value_delimiter = ',', value_name = "SUBJECT,…")]
    only: Vec<Subject>,
    /// What to call this machine
    #[arg(long, value_name = "TEXT", default_value = "an unknown machine")]
    machine: String,
    /// What cargo says to each bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// What there is to measure.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Subject {
    /// From start to service, and what a worker takes that has nothing to do
    Idle,
    /// An instance without calls
    Instances,
    /// A call that runs
    Calls,
    /// Very many calls at once on one connection
    Burst,
    /// A worker of a fleet
    Fleet,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    if !std::env::args().any(|arg| arg == "--measure") {
        return ExitCode::SUCCESS;
    }
    let args = Args::parse();
    let rows = measure(&args).await;
    let text = explained(&rows, &args);
    println!("{text}");
    let folder = results();
    fs::create_dir_all(&folder).unwrap();
    let everything = json!({ "machine": args.machine, "command": command(&args), "rows": rows });
    fs::write(folder.join("many.json"), format!("{everything:#}\n")).unwrap();
    if !args.quick && args.only.is_empty() {
        fs::write(folder.join("many.md"), text).unwrap();
    }
    let shortfalls: Vec<_> = rows.iter().filter_map(Row::shortfall).collect();
    if args.check && !shortfalls.is_empty() {
        eprintln!("{}", shortfalls.join("\n"));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

async fn measure(args: &Args) -> Vec<Row> {
    let mut sizes = if args.quick { Sizes::QUICK } else { Sizes::FULL };
    sizes.rounds = args.rounds.map_or(sizes.rounds, usize::from);
    let mut rows = Vec::new();
    for subject in Subject::value_variants() {
        if !args.only.is_empty() && !args.only.contains(subject) {
            continue;
        }
        let measured = match subject {
            Subject::Idle => measure::idle(&sizes).await,
            Subject::Instances => measure::instances(&sizes).await,
            Subject::Calls => measure::calls(&sizes).await,
            Subject::Burst => measure::burst(&sizes).await,
            Subject::Fleet => measure::fleet(&sizes).await,
        };
        measured.iter().for_each(|row| eprintln!("{}", row.line()));
        rows.extend(measured);
    }
    rows
}

/// The table, and what one has to know to read it.
fn explained(rows: &[Row], args: &Args) -> String {
    format!(
        "{}; `{}`.\n\n{}\n\
         Every number is the median of the rounds, each with a worker of its own; beside it the \
         smallest and the largest. Memory is the worker's process alone (VmRSS; MB is 10^6 bytes, \
         KiB 1024). Of instances, calls and a fleet's workers it is what all of them added \
         to heap and stacks (RssAnon), divided by their number. A call in flight carries 64 bytes, and the calls come \
         over 16 connections.\n",
        args.machine,
        command(args),
        row::table(rows),
    )
}

/// The command that prints the same table.
fn command(args: &Args) -> String {
    let mut command = "just bench-many".to_owned();
    if args.quick {
        command += " --quick";
    }
    if let Some(rounds) = args.rounds {
        command += &format!(" --rounds {rounds}");
    }
    if !args.only.is_empty() {
        let only = args.only.iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<_> = only.map(|value| value.get_name().to_owned()).collect();
        command += &format!(" --only {}", names.join(","));
    }
    command
}

/// `bench` in cargo's target folder.
fn results() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_hyperfake"));
    program.ancestors().nth(2).unwrap().join("bench")
}
