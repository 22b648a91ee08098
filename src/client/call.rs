use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyperfake_predictor::{Error, Result};
use hyperfake_proto::controller::common::{CallRequest, FunctionId, InstanceId};
use parking_lot::Mutex;
use serde_json::json;

use super::{Sample, Started, connect, one_call, start};
use crate::{args::CallArgs, clock::precise, report::format};

/// What came of the calls.
#[derive(Debug)]
pub struct Report {
    image: String,
    function: String,
    instance: String,
    instance_name: String,
    /// How long Start took.
    starting: Duration,
    samples: Vec<Sample>,
    /// How many calls failed, by what the worker answered.
    errors: BTreeMap<String, u32>,
    took: Duration,
}

/// Registers the function, starts an instance, makes the calls, and stops the instance.
///
/// # Errors
///
/// When the registry or the worker cannot be reached or refuses. Calls that fail are no error
/// here but a part of the report.
pub async fn call(args: &CallArgs) -> Result<Report> {
    let data = match &args.data_file {
        None => Bytes::copy_from_slice(args.data.as_bytes()),
        Some(path) => std::fs::read(path).map(Bytes::from).map_err(|error| {
            Error::not_found("cannot read the request's data")
                .with_source(error)
                .at(format!("--data-file {}", path.display()))
        })?,
    };
    let clock = precise::start();
    let mut client = connect(&args.target.address).await?;
    let CallArgs { target, image, deadline, .. } = args;
    let started = start(&mut client, &target.database_address, image, *deadline, &clock).await?;
    let Started { function, instance, instance_name, cold_start: starting } = started;

    let left = Arc::new(AtomicU32::new(args.calls));
    let outcomes = Arc::new(Mutex::new((Vec::new(), BTreeMap::<String, u32>::new())));
    let began = clock.now();
    let callers: Vec<_> = (0..args.concurrency.min(args.calls))
        .map(|_| {
            let (mut client, clock) = (client.clone(), clock.clone());
            let (left, outcomes) = (Arc::clone(&left), Arc::clone(&outcomes));
            let (function, data, deadline) = (function.clone(), data.clone(), args.deadline);
            tokio::spawn(async move {
                while let Some(number) = take(&left) {
                    let request = CallRequest {
                        request_id: number.into(),
                        instance_id: Some(InstanceId { id: function.clone() }),
                        data: data.clone(),
                        function_id: Some(FunctionId { id: function.clone() }),
                    };
                    let sample = one_call(&mut client, request, deadline, &clock).await;
                    let mut outcomes = outcomes.lock();
                    match sample {
                        Ok(sample) => outcomes.0.push(sample),
                        Err(status) => {
                            let text = format!("{:?}: {}", status.code(), status.message());
                            *outcomes.1.entry(text).or_default() += 1;
                        }
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.map_err(|error| Error::internal("a caller ended early").with_source(error))?;
    }
    let took = clock.now() - began;
    // What was asked for is done; an instance that is left over grows idle and goes.
    let _ = client.stop(instance.clone()).await;
    let (samples, errors) = std::mem::take(&mut *outcomes.lock());
    Ok(Report {
        image: args.image.clone(),
        function,
        instance: instance.id,
        instance_name,
        starting,
        samples,
        errors,
        took,
    })
}

/// A number for the next call, unless all were made.
fn take(left: &AtomicU32) -> Option<u32> {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok()
}

impl Report {
    /// Whether every call succeeded.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.errors.is_empty()
    }

    /// For a program.
    #[must_use]
    pub fn json(&self) -> String {
        let json = |numbers: Option<Distribution>| {
            numbers.map(|d| json!({"p50": d.p50, "p90": d.p90, "p99": d.p99, "max": d.max}))
        };
        let object = json!({
            "image": self.image,
            "function_id": self.function,
            "instance_id": self.instance,
            "instance_name": self.instance_name,
            "calls": self.samples.len(),
            "errors": self.errors,
            "seconds": self.took.as_secs_f64(),
            "cold_start_ns": self.cold_start().as_nanos() as u64,
            "predicted_ns": json(self.distribution(predicted)),
            "observed_ns": json(self.distribution(observed)),
            "difference_ns": json(self.distribution(difference)),
            "cpu_cores": json(self.distribution(cpu)),
            "ram_bytes": json(self.distribution(ram)),
        });
        format!("{object:#}")
    }

    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "function    {} ({})\ninstance    {} ({})\ncold start  {}\n",
            self.function,
            self.image,
            self.instance,
            self.instance_name,
            format::duration(self.cold_start()),
        );
        if self.samples.len() + self.errors.len() > 1 {
            let rate = self.samples.len() as f64 / self.took.as_secs_f64();
            text += &format!(
                "calls       {} in {} ({rate:.0} each second)\n            {:>10} {:>10} {:>10} {:>10}\n",
                self.samples.len(),
                format::duration(self.took),
                "p50",
                "p90",
                "p99",
                "max"
            );
        }
        let rows: [Row; 5] = [
            ("predicted", predicted, format::nanoseconds),
            ("observed", observed, format::nanoseconds),
            ("difference", difference, format::nanoseconds),
            ("cpu", cpu, |cores| format!("{cores:.3}")),
            ("ram", ram, format::bytes),
        ];
        for (name, value, show) in rows {
            let Some(Distribution { p50, p90, p99, max }) = self.distribution(value) else {
                continue;
            };
            text += &match self.samples.len() {
                1 => format!("{name:<11} {}\n", show(p50)),
                _ => {
                    let [p50, p90, p99, max] = [p50, p90, p99, max].map(show);
                    format!("{name:<11} {p50:>10} {p90:>10} {p99:>10} {max:>10}\n")
                }
            };
        }
        for (error, count) in &self.errors {
            text += &format!("failed      {count} x {error}\n");
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// How long it took from asking for the instance until it could run a call: until Start was
    /// answered, and what calls waited then if that was before the instance was ready.
    fn cold_start(&self) -> Duration {
        let waited = self.samples.iter().map(|sample| sample.waited).max();
        self.starting + waited.unwrap_or_default()
    }

    fn distribution(&self, value: fn(&Sample) -> Option<f64>) -> Option<Distribution> {
        let mut values: Vec<f64> = self.samples.iter().filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let rank = (share * values.len() as f64).ceil() as usize;
            values.get(rank.saturating_sub(1)).copied()
        };
        Some(Distribution {
            p50: quantile(0.5)?,
            p90: quantile(0.9)?,
            p99: quantile(0.99)?,
            max: quantile(1.0)?,
        })
    }
}

/// A row of the text: its name, its value in a call, and how that is written.
type Row = (&'static str, fn(&Sample) -> Option<f64>, fn(f64) -> String);

struct Distribution {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

fn predicted(sample: &Sample) -> Option<f64> {
    Some(sample.predicted.as_nanos() as f64)
}

fn observed(sample: &Sample) -> Option<f64> {
    Some(sample.observed.as_nanos() as f64)
}

fn difference(sample: &Sample) -> Option<f64> {
    Some(sample.observed.as_nanos() as f64 - sample.predicted.as_nanos() as f64)
}

fn cpu(sample: &Sample) -> Option<f64> {
    sample.cpu_cores
}

fn ram(sample: &Sample) -> Option<f64> {
    sample.ram_bytes.map(|bytes| bytes as f64)
}
