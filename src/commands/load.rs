//! `hyperfake load`: sends calls on a schedule, whether or not earlier ones were answered.

use std::{sync::Arc, time::Duration};

use hyperfake_predictor::{Error, Result};

use super::{Output, body::Body, interrupt, sender::Sender, target, through};
use crate::{
    args::LoadArgs,
    client::{
        self, Connection, FunctionNames, Instance, Load, LoadRecord, Loaded, Request, Run,
        Schedule, Sent, Target,
    },
    clock::{Clock, precise},
    report::Progress,
};

mod csv;
mod numbers;

/// A function that is called.
struct Called {
    /// What it was registered with, unless it was named by its id.
    image: Option<String>,
    /// Its id, if it is called through a leaf.
    id: Option<String>,
    request: Request,
    /// The instance that was started for it, if there is no leaf that does it.
    instance: Option<Instance>,
    /// How long it took until a first call ran, as far as it is known.
    cold_start: Option<Duration>,
}

impl Called {
    fn name(&self) -> &str {
        self.image.as_deref().or(self.id.as_deref()).unwrap_or_default()
    }

    fn names(&self) -> FunctionNames<'_> {
        let started = self.instance.as_ref().map(|instance| &*instance.function);
        FunctionNames {
            id: self.id.as_deref().or(started).unwrap_or_default(),
            image: self.image.as_deref().unwrap_or_default(),
        }
    }
}

/// Sends the calls. Calls that fail are a part of what is shown.
///
/// # Errors
///
/// When the store, the worker or the leaf cannot be reached or refuses, or the CSV file cannot be written.
pub async fn run(args: LoadArgs) -> Result<Output> {
    let clock = precise::start();
    let sender = Sender::open(&args.sender, args.connections, args.deadline, &clock).await?;
    let Sender { body, target, connection, threads } = sender;
    let csv = args.csv.as_deref().map(csv::create).transpose()?;
    let record = args.record.as_deref().map(LoadRecord::open).transpose();
    let record = record.map_err(|error| error.at("--record"))?;
    let mut functions = match args.sender.leaf.through {
        None => of_worker(&args, &connection, &body).await?,
        Some(_) => through_leaf(&args, &target, &connection, &body).await?,
    };
    let worker = target.address.clone();
    let schedule = schedule(&args, functions.len());
    let expected = schedule.count_if_even();
    let load = Load {
        target,
        requests: functions.iter().map(|function| function.request.clone()).collect(),
        connections: args.connections as usize,
        threads,
        deadline: args.deadline,
        schedule: Arc::new(schedule),
        warm_up: !args.no_warm_up,
        starts: None,
        stop: interrupt::stop_by_signal(),
    };
    let loaded = run_with_progress(expected, load, &clock).await;
    let instances: Vec<_> = functions.iter().filter_map(|one| one.instance.clone()).collect();
    connection.stop_all(&instances, args.deadline).await;
    let Loaded { calls, began, took, waited, stopped } = loaded?;
    if let Some(csv) = csv {
        csv.write(&calls, &functions)?;
    }
    if let Some(record) = record {
        let names: Vec<_> = functions.iter().map(Called::names).collect();
        let request_bytes = body.bytes.len() as u64;
        let run = Run { worker: &worker, functions: &names, request_bytes, began };
        record.write(&calls, &run).map_err(|error| error.at("--record"))?;
    }
    for ((function, index), waited) in functions.iter_mut().zip(0..).zip(waited) {
        if let Some(instance) = &function.instance {
            let waited = waited + longest_wait(&calls, index);
            function.cold_start = Some(instance.start + waited);
        }
    }
    let report = numbers::report(&args, stopped, took, &functions, &calls);
    let text = if args.json { report.json() } else { report.text() };
    Ok(Output { text, succeeded: report.succeeded() })
}

fn schedule(args: &LoadArgs, functions: usize) -> Schedule {
    match args.poisson {
        true => Schedule::poisson(args.rate, args.duration, functions, args.seed),
        false => Schedule::even(args.rate, args.duration, functions),
    }
}

async fn run_with_progress(expected: Option<usize>, load: Load, clock: &Clock) -> Result<Loaded> {
    let progress = Progress::new("calls", expected.unwrap_or(0) as u64);
    let show = |client::Progress { sent, ended, .. }| {
        progress.message(format!("{sent} sent"));
        progress.set(ended as u64);
    };
    let loaded = load.run(clock, show).await?;
    progress.finish();
    Ok(loaded)
}

/// The longest that a call of this function waited for its instance.
fn longest_wait(calls: &[Sent], function: u32) -> Duration {
    let calls = calls.iter().filter(|call| call.function == function);
    let waited = calls.filter_map(|call| call.timing).map(|timing| timing.waited_ns).max();
    Duration::from_nanos(waited.unwrap_or_default())
}

/// Starts an instance of each function, all at once: each takes as long as its cold start.
async fn of_worker(args: &LoadArgs, connection: &Connection, body: &Body) -> Result<Vec<Called>> {
    let images = match &args.functions[..] {
        [] => vec!["hyperfaas-echo".to_owned()],
        images => images.to_vec(),
    };
    let starting = images.iter().map(|image| {
        let (target, connection, image) =
            (args.sender.target.clone(), connection.clone(), image.clone());
        let deadline = args.deadline;
        tokio::spawn(async move { target::start(&target, &connection, &image, deadline).await })
    });
    let starting: Vec<_> = starting.collect();
    let mut functions = Vec::new();
    for (image, one) in images.into_iter().zip(starting) {
        let ended = |error| Error::internal("a start ended early").with_source(error);
        let instance = one.await.map_err(ended)??;
        let (function, data) = (instance.function.clone(), body.bytes.clone());
        functions.push(Called {
            image: Some(image),
            id: None,
            request: Request::Call { function, data },
            cold_start: None,
            instance: Some(instance),
        });
    }
    Ok(functions)
}

/// Calls each function once, all at once, unless no calls are wanted before the schedule: a leaf then
/// starts an instance of it.
async fn through_leaf(
    args: &LoadArgs,
    target: &Target,
    connection: &Connection,
    body: &Body,
) -> Result<Vec<Called>> {
    let found = through::functions(&args.sender.leaf, &args.functions, target, &body.bytes).await?;
    let mut functions: Vec<_> = found
        .into_iter()
        .map(|through::Function { image, id, method }| Called {
            image,
            id: Some(id),
            request: Request::Method(method),
            instance: None,
            cold_start: None,
        })
        .collect();
    if !args.no_warm_up {
        let requests: Vec<_> = functions.iter().map(|function| function.request.clone()).collect();
        let patience = if args.functions.is_empty() { Duration::ZERO } else { through::PATIENCE };
        let longer = client::first_calls(connection, &requests, args.deadline, patience).await?;
        for (function, longer) in functions.iter_mut().zip(longer) {
            function.cold_start = longer;
        }
    }
    Ok(functions)
}
