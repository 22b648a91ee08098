//! `hyperfake call`: registers a function, starts an instance of it, calls it, and stops it; or calls a
//! function through a leaf, which starts instances itself.

use std::time::Duration;

use hyperfake_predictor::{Error, Result};

use super::{Output, body::Body, target, through};
use crate::{
    args::CallArgs,
    client::{self, Connection, Instance, Repeated, Repetition, Request, Sample},
    clock::precise,
    report::{CallReport, Histogram, Percentiles, format},
};

/// Makes the calls. Calls that fail are a part of what is shown.
///
/// # Errors
///
/// When the store, the worker or the leaf cannot be reached or refuses, or the data cannot be read.
pub async fn run(args: CallArgs) -> Result<Output> {
    let body = Body::of(&args.body, &args.leaf, 0)?;
    let target = target::of(&args.target, &args.leaf, args.deadline)?;
    let connection = target::connect(&target, &precise::start()).await?;
    let mut report = match args.leaf.through {
        None => call_worker(&args, &connection, &body).await?,
        Some(_) => call_through(&args, &target, &connection, &body).await?,
    };
    report.image = args.image;
    let text = if args.json { report.json() } else { report.text() };
    Ok(Output { text, succeeded: report.succeeded() })
}

async fn call_worker(args: &CallArgs, connection: &Connection, body: &Body) -> Result<CallReport> {
    let image = args.image.as_deref().unwrap_or_default();
    let instance = target::start(&args.target, connection, image, args.deadline).await?;
    let (function, data) = (instance.function.clone(), body.bytes.clone());
    let repetition = repetition(args, Request::Call { function, data }, Duration::ZERO);
    let repeated = client::repeat(connection, &repetition).await?;
    connection.stop(&instance, args.deadline).await;
    let Instance { function, id, name, start } = instance;
    // What calls waited, if Start was answered before the instance was ready.
    let trailers = repeated.samples.iter().filter_map(|sample| sample.trailers);
    let cold_start = start + trailers.map(|trailers| trailers.cold_start).max().unwrap_or_default();
    Ok(CallReport {
        function_id: format::foreign(&function),
        instance_id: Some(format::foreign(&id)),
        instance_name: Some(format::foreign(&name)),
        // A worker may claim to have waited for longer than a number holds.
        cold_start_ns: Some(u64::try_from(cold_start.as_nanos()).unwrap_or(u64::MAX)),
        ..numbers(repeated, args.histogram)
    })
}

async fn call_through(
    args: &CallArgs,
    target: &client::Target,
    connection: &Connection,
    body: &Body,
) -> Result<CallReport> {
    let images: Vec<_> = args.image.clone().into_iter().collect();
    let functions = through::functions(&args.leaf, &images, target, &body.bytes).await?;
    let Ok([function]) = <[_; 1]>::try_from(functions) else {
        let message = format!("found {} ids, expected one", args.leaf.function.len());
        return Err(Error::invalid(message).at("--function"));
    };
    let patience = if args.image.is_some() { through::PATIENCE } else { Duration::ZERO };
    let repetition = repetition(args, Request::Method(function.method), patience);
    let mut repeated = client::repeat(connection, &repetition).await?;
    let first = repeated.first.take().filter(|_| args.calls == 1);
    let instance = first.as_ref().and_then(|answer| answer.instance.as_deref());
    let instance = instance.map(format::foreign);
    let answer = first.map(|answer| body.show(answer.message)).transpose()?;
    Ok(CallReport {
        function_id: function.id,
        instance_id: instance,
        answer,
        ..numbers(repeated, args.histogram)
    })
}

fn repetition(args: &CallArgs, request: Request, patience: Duration) -> Repetition {
    let CallArgs { calls, concurrency, deadline, .. } = *args;
    Repetition { request, calls, concurrency, deadline, patience }
}

fn numbers(repeated: Repeated, histogram: bool) -> CallReport {
    let Repeated { samples, errors, took, .. } = repeated;
    let percentiles =
        |value: fn(&Sample) -> Option<f64>| Percentiles::of(samples.iter().filter_map(value));
    let histogram = histogram.then(|| {
        let observed: Vec<_> = samples.iter().map(|sample| nanoseconds(sample.observed)).collect();
        Histogram::of(&observed)
    });
    let predicted = |sample: &Sample| Some(nanoseconds(sample.trailers?.runtime));
    CallReport {
        calls: samples.len(),
        errors,
        seconds: took.as_secs_f64(),
        predicted_ns: percentiles(predicted),
        observed_ns: percentiles(|sample| Some(nanoseconds(sample.observed))),
        observed_histogram: histogram.flatten(),
        difference_ns: percentiles(|sample| {
            Some(nanoseconds(sample.observed) - nanoseconds(sample.trailers?.runtime))
        }),
        cpu_cores: percentiles(|sample| sample.trailers?.cpu_cores),
        ram_bytes: percentiles(|sample| sample.trailers?.ram_bytes.map(|bytes| bytes as f64)),
        ..CallReport::default()
    }
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}
