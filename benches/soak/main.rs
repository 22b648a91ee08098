//! Does a worker that lives for long stay as it was? The real program is churned (instances that
//! come and go, calls that end, that are cancelled and that are cut off with their connection,
//! listeners that go away and come back), and every few seconds the churn pauses, everything
//! ends, and what the process still holds is measured.
//!
//! `just soak` runs it for ten minutes, `just soak 90s --minute 10s` in short. It fails when what
//! is held is not what was held after the first minute.
//!
//! With `--scenario`, the worker has one, such as `chaos`, and writes a record. Every call then has a
//! connection of its own while it runs and is not cancelled, so that its client knows how it ended even
//! when its connection is closed instead of an answer. At the end the rows of the record, what the clients
//! saw and the worker's counters are compared: they have to agree to the last call.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench may fail")]

mod agreement;
mod churn;
mod clients;
#[path = "../process.rs"]
mod process;
mod program;
mod report;
mod tally;

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
    #[arg(default_value = "10m", value_parser = duration::parse)]
    duration: Duration,

    /// The workers' scenario, a preset or a file; with one, record, clients and counters are compared
    #[arg(long, value_name = "FILE|PRESET")]
    scenario: Option<String>,

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

    /// Without this there is nothing to do, as when all benches are run
    #[arg(long, hide = true)]
    run: bool,

    /// Said by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    if !args.run {
        return ExitCode::SUCCESS;
    }
    let clock = precise::start();
    let program = Program::start(&args.program, args.fleet, args.scenario.as_deref());
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
    let mut verdicts = vec![report.verdict()];
    if args.scenario.is_some() {
        verdicts.push(agreement::verdict(program, &churn).await);
    }
    let mut code = ExitCode::SUCCESS;
    for verdict in verdicts {
        match verdict {
            Ok(verdict) => println!("{verdict}"),
            Err(verdict) => {
                println!("{verdict}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
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
