//! `hyperfake call`: registers a function, starts an instance of it, calls it, and stops it.

use std::time::Duration;

use bytes::Bytes;
use hyperfake_predictor::{Error, Result};

use super::{Output, target};
use crate::{
    args::CallArgs,
    client::{self, Instance, Repeated, Repetition, Sample},
    clock::precise,
    report::{CallReport, Percentiles, format},
};

/// Makes the calls. Calls that fail are a part of what is shown.
///
/// # Errors
///
/// When the store or the worker cannot be reached or refuses, or the data cannot be read.
pub async fn run(args: CallArgs) -> Result<Output> {
    let data = match &args.data_file {
        None => Bytes::copy_from_slice(args.data.as_bytes()),
        Some(path) => std::fs::read(path).map(Bytes::from).map_err(|error| {
            Error::not_found("cannot read the request's data")
                .with_source(error)
                .at(format!("--data-file {}", path.display()))
        })?,
    };
    let target = target::of(&args.target, args.deadline)?;
    let connection = target::connect(&target, &precise::start()).await?;
    let instance = target::start(&args.target, &connection, &args.image, args.deadline).await?;
    let repetition = Repetition {
        function: instance.function.clone(),
        data,
        calls: args.calls,
        concurrency: args.concurrency,
        deadline: args.deadline,
    };
    let repeated = client::repeat(&connection, &repetition).await?;
    connection.stop(&instance, args.deadline).await;
    let report = report(args.image, instance, repeated);
    let text = if args.json { report.json() } else { report.text() };
    Ok(Output { text, succeeded: report.succeeded() })
}

fn report(image: String, instance: Instance, repeated: Repeated) -> CallReport {
    let Repeated { samples, errors, took } = repeated;
    // What calls waited, if Start was answered before the instance was ready.
    let waited = samples.iter().map(|sample| sample.waited).max().unwrap_or_default();
    let percentiles =
        |value: fn(&Sample) -> Option<f64>| Percentiles::of(samples.iter().filter_map(value));
    CallReport {
        image,
        function_id: format::foreign(&instance.function),
        instance_id: format::foreign(&instance.id),
        instance_name: format::foreign(&instance.name),
        calls: samples.len(),
        errors,
        seconds: took.as_secs_f64(),
        // A worker may claim to have waited for longer than a number holds.
        cold_start_ns: u64::try_from((instance.start + waited).as_nanos()).unwrap_or(u64::MAX),
        predicted_ns: percentiles(|sample| Some(nanoseconds(sample.predicted))),
        observed_ns: percentiles(|sample| Some(nanoseconds(sample.observed))),
        difference_ns: percentiles(|sample| {
            Some(nanoseconds(sample.observed) - nanoseconds(sample.predicted))
        }),
        cpu_cores: percentiles(|sample| sample.cpu_cores),
        ram_bytes: percentiles(|sample| sample.ram_bytes.map(|bytes| bytes as f64)),
    }
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}
