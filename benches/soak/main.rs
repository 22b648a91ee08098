//! Does a worker that lives for long stay as it was? The real program is churned (instances that
//! come and go, calls that end, that are given up and that are cut off with their connection,
//! listeners that go away and come back), and every few seconds the churn pauses, everything
//! ends, and what the process still holds is measured.
//!
//! `just soak` runs it for ten minutes, `just soak 90s --minute 10s` in short. It fails when what
//! is held is not what was held after the first minute.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench may fail")]

mod churn;
mod clients;
#[path = "../process.rs"]
mod process;
mod program;
mod report;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use hyperfake_worker::{
    clock::{Clock, precise},
    duration,
};

use self::{
    churn::Churn,
    program::Program,
    report::{Report, Sample},
};

/// Runs the worker for long and fails when it does not stay as it was.
#[derive(Debug, Parser)]
struct Args {
    /// How long
    #[arg(long, value_parser = duration::parse)]
    duration: Duration,

    /// What is called a minute: a row of the table, and the time before the first one that counts
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    minute: Duration,

    /// The time between two samples
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    tick: Duration,

    /// Calls a second, over all workers
    #[arg(long, value_name = "N", default_value = "300")]
    rate: f64,

    /// Workers in the process
    #[arg(long, value_name = "N", default_value = "1")]
    fleet: u32,

    /// The program, if not the one that was built along with this
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_hyperfake"))]
    program: std::path::PathBuf,

    /// Said by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Without a duration there is nothing to do, as when all benches are run.
    if !std::env::args().any(|argument| argument.starts_with("--duration")) {
        return ExitCode::SUCCESS;
    }
    let args = Args::parse();
    let clock = precise::start();
    let program = Program::start(&args.program, args.fleet);
    println!("process {}: {}", program.process().0, program.command);
    let mut churn = Churn::start(&program, args.rate, &clock).await;
    let mut report = Report::new(args.duration, args.minute, program.command.clone());
    let began = clock.now();
    while clock.now() < began + args.duration {
        churn.go_on(args.tick).await;
        churn.settle().await;
        let sample = sample(&program, &churn, clock.now() - began, &clock).await;
        report.take(sample);
    }
    println!("\n{}", report.table());
    let written = report.write();
    println!("the rows are in {}", written.display());
    match report.verdict() {
        Ok(verdict) => {
            println!("{verdict}");
            ExitCode::SUCCESS
        }
        Err(verdict) => {
            println!("{verdict}");
            ExitCode::FAILURE
        }
    }
}

/// How often what is held is looked at anew, when it is not yet what it was.
const LOOKS: usize = 20;

/// What the process holds now that nothing goes on. The kernel closes sockets and ends threads a
/// moment later than it is told to: what counts is what stays.
async fn sample(program: &Program, churn: &Churn, at: Duration, clock: &Clock) -> Sample {
    let mut sample = None;
    for _ in 0..LOOKS {
        let (used_ram, used_cpu) = churn.used().await;
        let now = Sample {
            at,
            resident: program.process().bytes("VmRSS"),
            descriptors: program.process().count("fd"),
            threads: program.process().count("task"),
            used_ram,
            used_cpu,
            instances: churn.live_instances(),
            counts: churn.counts(),
        };
        if sample.as_ref().is_some_and(|before: &Sample| before.held() == now.held()) {
            return now;
        }
        sample = Some(now);
        clock.sleep_until(clock.now() + Duration::from_millis(100)).await;
    }
    sample.unwrap()
}
