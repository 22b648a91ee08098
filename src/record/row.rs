use std::{borrow::Cow, time::Duration};

use hyperfake_predictor::ErrorKind;
use serde::{Deserialize, Serialize};

use super::{CallOutcome, CallRecord};
use crate::clock::Clock;

/// A call as a row of a file: the fields are the columns, in their order and by their names.
///
/// A worker writes what it knows of a call, a client what it saw of it; what the writer does not know
/// is nothing. For both, a call ends at `arrival_unix_ns` + [`latency_ns`](Row::latency_ns).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row<'a> {
    /// When the call came in, in nanoseconds since the Unix epoch. For a client: when it was to be
    /// sent.
    pub arrival_unix_ns: u64,
    /// The worker's name: where it serves.
    #[serde(borrow)]
    pub worker: Cow<'a, str>,
    /// The function's id.
    #[serde(borrow)]
    pub function: Cow<'a, str>,
    /// The function's image; empty if the function is not known.
    #[serde(borrow)]
    pub image: Cow<'a, str>,
    /// The instance that ran the call; nothing if none did.
    pub instance: Option<Cow<'a, str>>,
    /// The number of the call among those of its function on its worker, from 0; nothing if no
    /// instance took it. For a client: the number of the call in the run.
    pub call: Option<u64>,
    /// Whether it was the first call of its instance.
    pub cold: Option<bool>,
    /// How long it waited for a place in its instance.
    pub queue_ns: Option<u64>,
    /// How long it waited for its instance to be ready.
    pub cold_start_ns: Option<u64>,
    /// The run time that the model answered, before limits, time scale and scenario.
    pub predicted_ns: Option<i64>,
    /// The run time that was planned.
    pub planned_ns: Option<u64>,
    /// How long it ran; nothing if it did not begin. For a client: the latency without the waits.
    pub run_ns: Option<u64>,
    /// By how much it ran for longer than planned.
    pub lateness_ns: Option<u64>,
    /// The CPU that it held, on average.
    pub cpu_cores: Option<f64>,
    /// The memory that it held.
    pub ram_bytes: Option<u64>,
    /// The size of its request's body: the first of the five features that the model was told.
    pub request_bytes: Option<u64>,
    /// The second feature.
    pub function_instances: Option<u64>,
    /// The third feature.
    pub active_calls: Option<u64>,
    /// The fourth feature.
    pub worker_cpu_cores: Option<f64>,
    /// The fifth feature.
    pub worker_ram_bytes: Option<u64>,
    /// The gRPC code that it ended with, such as `OK` or `UNAVAILABLE`.
    #[serde(borrow)]
    pub outcome: Cow<'a, str>,
    /// Why; empty if nothing out of the ordinary happened.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
}

/// The outcome of a call that was answered.
pub const OK: &str = "OK";
/// The outcome of a call that its client gave up.
pub const CANCELLED: &str = "CANCELLED";

/// Names the gRPC code of an error: the table of codes belongs to the API and not to records.
pub type CodeName = fn(ErrorKind) -> &'static str;

impl<'a> Row<'a> {
    /// What a worker knows of a call whose moments are those of this clock.
    #[must_use]
    pub fn of(record: &'a CallRecord, clock: &Clock, code: CodeName) -> Self {
        let features = record.features;
        let whole = |number: f64| number as u64;
        let planned = record.planned.map(|planned| nanoseconds(planned.runtime));
        let run_time = record.began.map(|_| nanoseconds(record.run_time()));
        Self {
            arrival_unix_ns: nanoseconds(clock.since_epoch(record.arrived)),
            worker: (&*record.worker).into(),
            function: (&*record.function).into(),
            image: (&*record.image).into(),
            instance: record.instance.map(|instance| instance.text().into()),
            call: record.number,
            cold: record.instance.map(|_| record.cold),
            queue_ns: Some(nanoseconds(record.queued)),
            cold_start_ns: Some(nanoseconds(record.cold_start)),
            predicted_ns: record.predicted.map(|raw| raw.runtime_ns.round() as i64),
            planned_ns: planned,
            run_ns: run_time,
            lateness_ns: run_time.zip(planned).map(|(run, planned)| run.saturating_sub(planned)),
            cpu_cores: record.planned.map(|planned| planned.cpu_cores),
            ram_bytes: record.planned.map(|planned| planned.ram_bytes),
            request_bytes: features.map(|features| whole(features.request_bytes)),
            function_instances: features.map(|features| whole(features.function_instances)),
            active_calls: features.map(|features| whole(features.active_calls)),
            worker_cpu_cores: features.map(|features| features.worker_cpu_cores),
            worker_ram_bytes: features.map(|features| whole(features.worker_ram_bytes)),
            outcome: match record.outcome {
                CallOutcome::Succeeded => OK.into(),
                CallOutcome::Failed(kind) => code(kind).into(),
                CallOutcome::Cancelled => CANCELLED.into(),
            },
            reason: record.reason.to_string().into(),
        }
    }

    /// The same, with texts of its own.
    #[must_use]
    pub fn into_owned(self) -> Row<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Row {
            arrival_unix_ns: self.arrival_unix_ns,
            worker: own(self.worker),
            function: own(self.function),
            image: own(self.image),
            instance: self.instance.map(own),
            call: self.call,
            cold: self.cold,
            queue_ns: self.queue_ns,
            cold_start_ns: self.cold_start_ns,
            predicted_ns: self.predicted_ns,
            planned_ns: self.planned_ns,
            run_ns: self.run_ns,
            lateness_ns: self.lateness_ns,
            cpu_cores: self.cpu_cores,
            ram_bytes: self.ram_bytes,
            request_bytes: self.request_bytes,
            function_instances: self.function_instances,
            active_calls: self.active_calls,
            worker_cpu_cores: self.worker_cpu_cores,
            worker_ram_bytes: self.worker_ram_bytes,
            outcome: own(self.outcome),
            reason: own(self.reason),
        }
    }

    /// From its arrival to its end, in nanoseconds: the waits and the run.
    #[must_use]
    pub fn latency_ns(&self) -> u64 {
        let parts = [self.queue_ns, self.cold_start_ns, self.run_ns];
        parts.into_iter().flatten().fold(0, u64::saturating_add)
    }

    /// When it ended, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn end_unix_ns(&self) -> u64 {
        self.arrival_unix_ns.saturating_add(self.latency_ns())
    }

    /// Whether it was answered.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.outcome == OK
    }
}

/// A number of nanoseconds, at most 584 years of them.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
