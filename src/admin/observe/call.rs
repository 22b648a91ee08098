use std::{sync::Arc, time::Duration};

use hyperfake_predictor::Features;

use crate::{
    clock::Moment,
    record::{CallOutcome, CallRecord},
    scenario::{Cause, TimeScale},
    worker::InstanceId,
};

/// How a call ended, in the words of metrics and of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Error,
    Overload,
    Timeout,
    OutOfMemory,
    Crash,
    Fault,
    Cancelled,
}

impl Outcome {
    pub(crate) const COUNT: usize = 8;
    /// The name of each, in their order.
    pub(crate) const NAMES: [&'static str; Self::COUNT] =
        ["ok", "error", "overload", "timeout", "oom", "crash", "fault", "cancelled"];

    pub(crate) fn of(record: &CallRecord) -> Self {
        match (record.outcome, &record.reason) {
            (CallOutcome::Succeeded, _) => Self::Ok,
            (CallOutcome::Cancelled, _) => Self::Cancelled,
            (CallOutcome::Failed(_), Cause::Fault(_)) => Self::Fault,
            (CallOutcome::Failed(_), Cause::Overload | Cause::QueueTimeout) => Self::Overload,
            (CallOutcome::Failed(_), Cause::TimeLimit) => Self::Timeout,
            (CallOutcome::Failed(_), Cause::OutOfMemory) => Self::OutOfMemory,
            (CallOutcome::Failed(_), Cause::Crash) => Self::Crash,
            (CallOutcome::Failed(_), _) => Self::Error,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// A call that ended, as the page shows it.
#[derive(Debug, Clone)]
pub(crate) struct CallSummary {
    pub(crate) worker: u32,
    pub(crate) function: Arc<str>,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) number: Option<u64>,
    pub(crate) cold: bool,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Cause,
    pub(crate) arrived: Moment,
    pub(crate) times: Times,
    pub(crate) cpu_cores: Option<f64>,
    pub(crate) ram_bytes: Option<u64>,
    pub(crate) features: Option<Features>,
}

/// What a call took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Times {
    /// From its arrival to its end.
    pub(crate) total: Duration,
    /// What it waited for a place in its instance.
    pub(crate) queue: Duration,
    /// What it waited for its instance to be ready.
    pub(crate) cold_start: Duration,
    /// What it ran, if it did.
    pub(crate) run: Option<Duration>,
    /// What the model said, with the time scale.
    pub(crate) predicted: Option<Duration>,
    /// What it was planned to run.
    pub(crate) planned: Option<Duration>,
}

impl Times {
    /// Of a call of a worker with this factor for all times.
    pub(crate) fn of(record: &CallRecord, time_scale: TimeScale) -> Self {
        let predicted = record.predicted.map(|raw| {
            // What is not a number is zero here; what is too large is the largest.
            time_scale.apply(Duration::from_nanos(raw.runtime_ns as u64))
        });
        Self {
            total: record.ended - record.arrived,
            queue: record.queued,
            cold_start: record.cold_start,
            run: record.began.map(|began| record.ended - began),
            predicted,
            planned: record.planned.map(|planned| planned.runtime),
        }
    }

    /// How many times as long as planned it ran.
    pub(crate) fn slowdown(&self) -> Option<f64> {
        let (run, planned) = (self.run?, self.planned.filter(|planned| !planned.is_zero())?);
        Some(run.as_secs_f64() / planned.as_secs_f64())
    }

    /// How much longer than planned it ran.
    pub(crate) fn lateness(&self) -> Duration {
        self.run
            .zip(self.planned)
            .map_or(Duration::ZERO, |(run, planned)| run.saturating_sub(planned))
    }
}

impl CallSummary {
    pub(crate) fn of(record: &CallRecord, worker: u32, outcome: Outcome, times: Times) -> Self {
        Self {
            worker,
            function: Arc::clone(&record.function),
            instance: record.instance,
            number: record.number,
            cold: record.cold,
            outcome,
            reason: record.reason.clone(),
            arrived: record.arrived,
            times,
            cpu_cores: record.planned.map(|planned| planned.cpu_cores),
            ram_bytes: record.planned.map(|planned| planned.ram_bytes),
            features: record.features,
        }
    }
}
