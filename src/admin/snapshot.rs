use std::time::Duration;

use serde::Serialize;

use super::{
    fleet::{Fleet, InstanceCounts, STATES, unix},
    numbers::{quantiles, ratio, rounded, seconds},
    observe::{Interval, Observed, Outcome, Totals},
};
use crate::{
    clock::{Clock, Lateness, Moment},
    worker::Usage,
};

/// What happened in a second, and what is at its end: an event of the stream.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    run: String,
    n: u64,
    at: f64,
    dt_s: f64,
    pub(super) totals: Row,
    workers: Workers,
    functions: Vec<FunctionRow>,
    function_instances: Vec<(usize, u64)>,
    pub(super) pairs: Vec<Pair>,
    strip: Vec<StripRow>,
    marks: Vec<Mark>,
    #[serde(flatten)]
    versions: Versions,
}

/// Change when what they name has changed.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Versions {
    pub(super) functions_version: u64,
    pub(super) calls_version: u64,
    pub(super) faults_version: u64,
}

/// The numbers of the whole process.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    #[serde(skip)]
    pub(super) at: f64,
    /// Calls that ended per second, by outcome.
    pub(super) rate: [f64; Outcome::COUNT],
    pub(super) active: usize,
    pub(super) queued: u64,
    pub(super) instances: [u64; STATES.len()],
    pub(super) starts: f64,
    pub(super) stops: f64,
    pub(super) cold: Option<f64>,
    pub(super) latency_s: Option<[f64; 4]>,
    pub(super) cpu_cores: f64,
    cpu_capacity_cores: f64,
    pub(super) ram_bytes: f64,
    ram_capacity_bytes: f64,
    pub(super) slowdown: Option<f64>,
    pub(super) lateness_s: Option<[f64; 3]>,
    extrapolated: f64,
    faults: f64,
}

/// A column of a number for each worker.
#[derive(Debug, Serialize)]
struct Workers {
    rate: Vec<f64>,
    failed: Vec<f64>,
    active: Vec<usize>,
    instances: Vec<usize>,
    cpu: Vec<f64>,
    ram: Vec<f64>,
}

/// The function's place, calls and failed calls per second, p50, p90 and p99 in seconds, the share of
/// cold calls, and the means of what was predicted and of what was run in seconds.
type FunctionRow =
    (u32, f64, f64, Option<f64>, Option<f64>, Option<f64>, Option<f64>, Option<f64>, Option<f64>);

/// The function's place, and the predicted and the observed run time in seconds.
pub(super) type Pair = (u32, f64, f64);

/// The instance, its worker, its function's place, when it was made, and its letters.
type StripRow = (String, u32, u32, f64, String);

/// Something that a person did.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Mark {
    pub(super) at: f64,
    pub(super) text: String,
}

/// What a snapshot is made of.
pub(super) struct Input<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) clock: &'a Clock,
    pub(super) observed: &'a Observed,
    pub(super) instances: &'a InstanceCounts,
    /// How late the sleeps since the last snapshot ended.
    pub(super) lateness: &'a Lateness,
    /// Calls since the last snapshot.
    pub(super) extrapolated: u64,
    pub(super) number: u64,
    pub(super) before: Moment,
    pub(super) now: Moment,
    pub(super) marks: Vec<Mark>,
    pub(super) versions: Versions,
}

impl Snapshot {
    pub(super) fn new(input: Input<'_>) -> Self {
        let Input { fleet, clock, observed, instances, now, .. } = input;
        let passed = (now - input.before).max(Duration::from_millis(1)).as_secs_f64();
        let usage = fleet.usage();
        let interval = &observed.interval;
        Self {
            run: format!("{:016x}", fleet.run),
            n: input.number,
            at: unix(clock, now),
            dt_s: rounded(passed),
            totals: row(&input, &usage, passed),
            workers: workers(interval, &usage, passed),
            functions: functions(interval, passed),
            function_instances: function_instances(instances),
            pairs: interval.pairs.iter().map(|pair| seconds_of(*pair)).collect(),
            strip: strip(observed, clock),
            marks: input.marks,
            versions: input.versions,
        }
    }
}

fn row(input: &Input<'_>, usage: &[Usage], passed: f64) -> Row {
    let interval = &input.observed.interval;
    let (cpus, memory) = input.fleet.capacity();
    let workers = usage.len() as f64;
    let per_second = |count: u64| rounded(count as f64 / passed);
    let ended: u64 = interval.calls.iter().sum();
    let mut instances = [0; STATES.len()];
    for states in &input.instances.workers {
        instances.iter_mut().zip(states).for_each(|(sum, count)| *sum += count);
    }
    let late = input.lateness;
    let lateness = [late.quantile(0.5), late.quantile(0.99), late.max()].map(seconds);
    Row {
        at: unix(input.clock, input.now),
        rate: interval.calls.map(per_second),
        active: usage.iter().map(|usage| usage.calls).sum(),
        queued: input.instances.queued.iter().sum(),
        instances,
        starts: per_second(interval.starts),
        stops: per_second(interval.stops),
        cold: ratio(interval.cold as f64, ended as f64),
        latency_s: quantiles(&interval.latency, [0.5, 0.9, 0.99, 1.0]),
        cpu_cores: rounded(usage.iter().map(|usage| usage.cpu_cores).sum()),
        cpu_capacity_cores: cpus as f64 * workers,
        ram_bytes: usage.iter().map(|usage| usage.ram_bytes as f64).sum(),
        ram_capacity_bytes: memory as f64 * workers,
        slowdown: ratio(interval.ran, interval.planned),
        lateness_s: (late.count() > 0).then_some(lateness),
        extrapolated: per_second(input.extrapolated),
        faults: per_second(interval.faults),
    }
}

fn workers(interval: &Interval, usage: &[Usage], passed: f64) -> Workers {
    let ended = interval.workers.iter();
    Workers {
        rate: ended.clone().map(|(ended, _)| rounded(*ended as f64 / passed)).collect(),
        failed: ended.map(|(_, failed)| rounded(*failed as f64 / passed)).collect(),
        active: usage.iter().map(|usage| usage.calls).collect(),
        instances: usage.iter().map(|usage| usage.instances).collect(),
        cpu: usage.iter().map(|usage| rounded(usage.cpu_percent / 100.0)).collect(),
        ram: usage.iter().map(|usage| rounded(usage.ram_percent / 100.0)).collect(),
    }
}

/// The busiest first.
fn functions(interval: &Interval, passed: f64) -> Vec<FunctionRow> {
    let mut all: Vec<_> = interval.functions.iter().collect();
    let calls = |counts: &[u64]| counts.iter().sum::<u64>();
    all.sort_by_key(|(place, part)| (std::cmp::Reverse(calls(&part.calls)), **place));
    let row = |(place, part): (&u32, &super::observe::FunctionInterval)| {
        let ended = calls(&part.calls);
        let failed = ended - part.calls[Outcome::Ok as usize];
        let times = quantiles(&part.latency, [0.5, 0.9, 0.99]);
        (
            *place,
            rounded(ended as f64 / passed),
            rounded(failed as f64 / passed),
            times.map(|times| times[0]),
            times.map(|times| times[1]),
            times.map(|times| times[2]),
            ratio(part.cold as f64, ended as f64),
            ratio(part.predicted, part.predictions as f64),
            ratio(part.ran, part.latency.len() as f64),
        )
    };
    all.into_iter().map(row).collect()
}

fn function_instances(instances: &InstanceCounts) -> Vec<(usize, u64)> {
    let all = instances.functions.iter().copied().enumerate();
    all.filter(|(_, count)| *count > 0).collect()
}

fn strip(observed: &Observed, clock: &Clock) -> Vec<StripRow> {
    let place = |id: &str| place(&observed.totals, id);
    let rows = observed.strip.rows.iter();
    rows.map(|row| {
        let created = unix(clock, row.created);
        (row.instance.text(), row.worker, place(&row.function), created, row.cells())
    })
    .collect()
}

/// The place of a function, or that of the others.
pub(super) fn place(totals: &Totals, id: &str) -> u32 {
    totals.place(id).unwrap_or(0)
}

fn seconds_of((function, predicted, observed): (u32, u64, u64)) -> Pair {
    (function, rounded(predicted as f64 / 1e9), rounded(observed as f64 / 1e9))
}
