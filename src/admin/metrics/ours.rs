use std::{fmt, time::Duration};

use super::{
    Sample,
    family::{Families, Family, Labels},
};
use crate::{
    admin::{
        fleet::STATES,
        observe::{Outcome, Stop},
    },
    clock::Lateness,
    worker::Usage,
};

/// The upper bounds of the histogram of lateness.
const LATENESS: [Duration; 12] = [
    Duration::from_micros(20),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(200),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_secs(1),
];

const SECONDS: Option<&str> = Some("seconds");

/// Writes the families of the worker.
pub(super) fn encode(sample: &Sample<'_>, families: &mut Families<'_>) -> fmt::Result {
    calls(sample, families)?;
    functions(sample, families)?;
    instances(sample, families)?;
    resources(sample, families)?;
    facts(sample, families)?;
    records(sample, families)?;
    let help = "How late the sleeps of calls ended, over all workers of this process";
    families.buckets(
        Family { name: "clock_lateness", unit: SECONDS, help },
        [lateness(&sample.lateness)],
    )
}

fn calls(sample: &Sample<'_>, families: &mut Families<'_>) -> fmt::Result {
    let help = "Calls that ended, by how they ended";
    let all = sample.totals.calls.iter().flat_map(|((function, worker), counts)| {
        let function = &*sample.totals.functions[*function as usize].id;
        let counts = counts.iter().zip(Outcome::NAMES).filter(|(count, _)| **count > 0);
        counts.map(move |(count, outcome)| {
            let more = [("function", function), ("outcome", outcome)];
            (sample.labels(*worker as usize, &more), *count)
        })
    });
    families.counter(Family { name: "calls", unit: None, help }, all)?;
    let help = "Calls that run or wait";
    let all = sample.of_workers(|usage| usage.calls as f64);
    families.gauge(Family { name: "active_calls", unit: None, help }, all)?;
    let help = "Calls that wait for a place in an instance";
    let queued = sample.instances.queued.iter().enumerate();
    let queued = queued.map(|(worker, count)| (sample.labels(worker, &[]), *count as f64));
    families.gauge(Family { name: "queue_calls", unit: None, help }, queued)?;
    let help = "Calls that a fault was done to";
    let faults = sample.totals.faults.iter();
    let faults = faults.map(|(fault, count)| (vec![("fault", &**fault)], *count));
    families.counter(Family { name: "faults", unit: None, help }, faults)?;
    let help = "Calls with a feature outside the range that their model was trained on";
    let outside = sample.fleet.extrapolated().into_iter();
    let outside = outside.map(|(feature, count)| (vec![("feature", feature)], count));
    families.counter(Family { name: "extrapolated_calls", unit: None, help }, outside)?;
    let help =
        "Run time of the calls of the last second divided by what was planned, 1 without calls";
    let slowdown = [(Vec::new(), sample.slowdown)];
    families.gauge(Family { name: "slowdown", unit: Some("ratio"), help }, slowdown)
}

fn functions(sample: &Sample<'_>, families: &mut Families<'_>) -> fmt::Result {
    let functions = || sample.totals.functions.iter();
    let help = "Time from a call's arrival to its end, of calls that an instance ran";
    let durations = functions().flat_map(|function| {
        let starts = ["warm", "cold"].into_iter().zip(&function.duration);
        starts
            .map(move |(start, times)| (vec![("function", &*function.id), ("start", start)], times))
    });
    let name = "call_duration";
    families.histogram(Family { name, unit: SECONDS, help }, durations)?;
    let help = "Time that calls ran";
    let times = functions().map(|function| (vec![("function", &*function.id)], &function.run));
    families.histogram(Family { name: "call_run", unit: SECONDS, help }, times)?;
    let help = "Time that the model said calls would run";
    let times =
        functions().map(|function| (vec![("function", &*function.id)], &function.predicted));
    families.histogram(Family { name: "call_predicted", unit: SECONDS, help }, times)?;
    let help = "Time that calls waited for a place in an instance, of those that did";
    let times = functions().map(|function| (vec![("function", &*function.id)], &function.queue));
    families.histogram(Family { name: "call_queue", unit: SECONDS, help }, times)?;
    let help = "Time from the start of an instance until it could run calls";
    let times =
        functions().map(|function| (vec![("function", &*function.id)], &function.cold_start));
    families.histogram(Family { name: "cold_start", unit: SECONDS, help }, times)
}

fn instances(sample: &Sample<'_>, families: &mut Families<'_>) -> fmt::Result {
    let help = "Instances that have not ended, by what they do";
    let states = sample.instances.workers.iter().enumerate().flat_map(|(worker, counts)| {
        STATES
            .into_iter()
            .zip(counts)
            .map(move |(state, count)| (sample.labels(worker, &[("state", state)]), *count as f64))
    });
    families.gauge(Family { name: "instances", unit: None, help }, states)?;
    let totals = || sample.totals.workers.iter().enumerate();
    let help = "Instances that were started";
    let starts = totals().map(|(worker, total)| (sample.labels(worker, &[]), total.starts));
    families.counter(Family { name: "instance_starts", unit: None, help }, starts)?;
    let help = "Instances that ended, by why";
    let stops = totals().flat_map(|(worker, total)| {
        Stop::NAMES
            .into_iter()
            .zip(total.stops)
            .map(move |(reason, count)| (sample.labels(worker, &[("reason", reason)]), count))
    });
    families.counter(Family { name: "instance_stops", unit: None, help }, stops)
}

fn resources(sample: &Sample<'_>, families: &mut Families<'_>) -> fmt::Result {
    let (cpus, memory) = sample.fleet.capacity();
    let (cores, bytes) = (Some("cores"), Some("bytes"));
    let help = "CPU that running calls hold";
    let used = sample.of_workers(|usage| usage.cpu_cores);
    families.gauge(Family { name: "cpu_used", unit: cores, help }, used)?;
    let help = "CPU that the worker simulates";
    let all = sample.of_workers(|_| cpus as f64);
    families.gauge(Family { name: "cpu", unit: cores, help }, all)?;
    let help = "Memory that running calls hold";
    let used = sample.of_workers(|usage| usage.ram_bytes as f64);
    families.gauge(Family { name: "memory_used", unit: bytes, help }, used)?;
    let help = "Memory that the worker simulates";
    let all = sample.of_workers(|_| memory as f64);
    families.gauge(Family { name: "memory", unit: bytes, help }, all)
}

fn facts(sample: &Sample<'_>, families: &mut Families<'_>) -> fmt::Result {
    let help = "The program";
    let build = [vec![("version", env!("CARGO_PKG_VERSION"))]];
    families.info(Family { name: "build", unit: None, help }, build)?;
    let help = "The models";
    let worker = sample.fleet.workers.first();
    let models = worker.map(|worker| worker.catalog().models()).into_iter().flatten();
    let models: Vec<_> = models
        .map(|model| {
            let info = model.predictor.info();
            (model.image.to_string(), info.path.display().to_string(), info.backend)
        })
        .collect();
    let models = models.iter().map(|(image, model, backend)| {
        vec![("image", &**image), ("model", &**model), ("backend", *backend)]
    });
    families.info(Family { name: "model", unit: None, help }, models)?;
    let help = "The functions that have series of their own, and their images";
    let functions = sample.totals.functions.iter().skip(1);
    let functions =
        functions.map(|function| vec![("function", &*function.id), ("image", &*function.image)]);
    families.info(Family { name: "function", unit: None, help }, functions)
}

/// What became of the calls that are recorded, if they are.
fn records(sample: &Sample<'_>, families: &mut Families<'_>) -> fmt::Result {
    let Some(recorded) = sample.fleet.recorded.as_ref().map(|recorded| recorded()) else {
        return Ok(());
    };
    for (name, help, count) in [
        ("record_rows", "Calls that were written into the record", recorded.rows),
        (
            "record_dropped",
            "Calls that the record lacks because they ended faster than rows were written",
            recorded.dropped,
        ),
        (
            "record_unwritten",
            "Calls that the record lacks because its file could not be written",
            recorded.unwritten,
        ),
    ] {
        families.counter(Family { name, unit: None, help }, [(Vec::new(), count)])?;
    }
    Ok(())
}

fn lateness<'a>(lateness: &Lateness) -> (Labels<'a>, f64, Vec<(f64, u64)>) {
    let counts = lateness.buckets(&LATENESS);
    let within: u64 = counts.iter().sum();
    let bounds = LATENESS.map(|bound| bound.as_secs_f64());
    let mut buckets: Vec<_> = bounds.into_iter().zip(counts).collect();
    buckets.push((f64::INFINITY, lateness.count() - within));
    let sum = lateness.mean().as_secs_f64() * lateness.count() as f64;
    (Vec::new(), sum, buckets)
}

impl<'a> Sample<'a> {
    /// The labels of a series of a worker: its name only where there are several.
    fn labels(&self, worker: usize, more: &[(&'a str, &'a str)]) -> Labels<'a> {
        let names = &self.fleet.names;
        let name = names.get(worker).filter(|_| names.len() > 1);
        let name = name.map(|name| ("worker", name.as_str()));
        name.into_iter().chain(more.iter().copied()).collect()
    }

    fn of_workers(&self, of: impl Fn(&Usage) -> f64) -> impl Iterator<Item = (Labels<'a>, f64)> {
        let usage = self.usage.iter().enumerate();
        usage.map(move |(worker, usage)| (self.labels(worker, &[]), of(usage)))
    }
}
