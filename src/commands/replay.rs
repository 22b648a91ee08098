//! `hyperfake replay`: makes the calls of a trace, in real time on a worker or through a leaf, or in virtual
//! time on a worker in this process.

use std::{collections::BTreeMap, sync::Arc};

use hyperfake_predictor::Result;
use tokio::runtime::Runtime;

use super::Output;
use crate::{
    args::{FunctionLimitArgs, ReplayArgs},
    report::{Progress, ReplayReport},
    trace::{
        self, Function, Reading, Selection, Workload,
        models::{self, Defaults},
    },
};

mod in_real_time;
mod in_virtual_time;
mod instances;
mod sink;
mod virtual_worker;

/// Reads the trace, and makes its calls.
///
/// # Errors
///
/// When the trace cannot be read or nothing of it is left, and when there is nothing that could be called.
pub fn run(args: ReplayArgs, runtime: &Runtime) -> Result<Output> {
    let work = Arc::new(read(&args)?);
    let defaults = Defaults { cpu_cores: args.cpu, memory_bytes: args.ram.as_u64() as f64 };
    let mut report = report(&args, &work);
    if let Some(folder) = &args.models_out {
        let files = models::write(&work, &defaults, folder);
        let files = files.map_err(|error| error.at("--models-out"))?;
        report.models = files.iter().map(|file| file.display().to_string()).collect();
    }
    if !args.dry_run {
        report.replayed = Some(match args.is_virtual {
            true => in_virtual_time::replay(&args, &work, &defaults, report.requested)?,
            false => {
                runtime.block_on(in_real_time::replay(&args, &work, &defaults, report.requested))?
            }
        });
    }
    let text = if args.json { report.json() } else { report.text() };
    Ok(Output { text, succeeded: report.succeeded() })
}

fn read(args: &ReplayArgs) -> Result<Workload> {
    let until = args.length.map_or(std::time::Duration::MAX, |length| args.from + length);
    let reading = Reading { from: args.from, until, column: args.column };
    let progress = Progress::new("read", 0);
    let trace = trace::open(&args.trace, &reading, |done, total| {
        progress.set(done as u64);
        progress.message(format!("of {total} files"));
    })?;
    progress.finish();
    let selection = Selection {
        from: args.from,
        length: args.length,
        functions: args.functions.map(|functions| functions as usize),
        only: args.only.clone(),
        rate: args.rate,
        seed: args.seed,
        run_time: args.run_time,
    };
    Workload::new(trace, &selection)
}

fn report(args: &ReplayArgs, work: &Arc<Workload>) -> ReplayReport {
    let counts = work.requested();
    let (mut by_trigger, mut sum) = (BTreeMap::<_, u64>::new(), 0.0);
    for (function, count) in work.functions.iter().zip(&counts) {
        *by_trigger.entry(function.trigger.clone()).or_default() += count;
        let mean = function.run_time.as_ref().map_or(0.0, |run_time| run_time.mean_ns);
        sum += mean * *count as f64;
    }
    let requested = counts.iter().sum();
    ReplayReport {
        format: work.format.to_string(),
        functions: work.functions.len(),
        from_s: args.from.as_secs_f64(),
        length_s: work.length().as_secs_f64(),
        rate: args.rate,
        seed: args.seed,
        notes: work.notes.clone(),
        requested,
        requested_by_trigger: by_trigger,
        requested_mean_run_time_ns: sum / (requested as f64).max(1.0),
        ..ReplayReport::default()
    }
}

/// What a function is registered with: what the options say, and else room for a call.
fn limits(args: &ReplayArgs, function: &Function, defaults: &Defaults) -> FunctionLimitArgs {
    const PERIOD: i64 = 100_000;
    let cpu = function.cpu_cores.unwrap_or(defaults.cpu_cores);
    let period = args.limits.cpu_period.unwrap_or(PERIOD);
    let quota = (cpu * period as f64).ceil().max(1.0) as i64;
    FunctionLimitArgs {
        cpu_period: Some(period),
        cpu_quota: args.limits.cpu_quota.or(Some(quota)),
        memory: args.limits.memory.or(Some(bytesize::ByteSize(function.memory_limit(defaults)))),
        ..args.limits.clone()
    }
}
