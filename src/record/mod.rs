//! The description of a call, who is told that it ended, and the files in which that is kept.

mod foreign;
mod format;
mod id;
mod lines;
#[cfg(feature = "parquet")]
mod parquet_file;
mod reader;
mod recorder;
mod row;
mod row_file;
mod text_file;
mod windows;

use std::{fmt, sync::Arc, time::Duration};

use hyperfake_predictor::{ErrorKind, Features, Prediction, RawPrediction};

pub(crate) use self::row::nanoseconds;
pub use self::{
    format::{Destination, Format},
    id::{InstanceId, NotAnId},
    reader::RowReader,
    recorder::{Recorded, Recorder},
    row::{CANCELLED, CodeName, OK, Row},
    row_file::RowFile,
    windows::{Failure, Window, Windows},
};
use crate::{clock::Moment, scenario::Cause};

/// A call that came to a worker and has ended, however it ended. There is one for each call, refused
/// ones included.
#[derive(Debug, Clone)]
pub struct CallRecord {
    /// The worker's name.
    pub worker: Arc<str>,
    /// The function's id, as it was asked for.
    pub function: Arc<str>,
    /// The function's image; empty when the function is not known.
    pub image: Arc<str>,
    /// The instance that the call was given to; nothing when it was refused before.
    pub instance: Option<InstanceId>,
    /// The number of the call among those of its function on its worker, from 0; nothing when it was
    /// refused before.
    pub number: Option<u64>,
    /// Whether it was the first call that was given to its instance.
    pub cold: bool,
    /// What the model was told; nothing when the call ended before the model was asked.
    pub features: Option<Features>,
    /// What the model answered, in nanoseconds, cores and bytes, before limits and time scale.
    pub predicted: Option<RawPrediction>,
    /// What the call was planned to take: run time, CPU and RAM.
    pub planned: Option<Prediction>,
    /// When it came in.
    pub arrived: Moment,
    /// How long it waited in the queue of its instance, once that was ready.
    pub queued: Duration,
    /// How long it waited for its instance to be ready.
    pub cold_start: Duration,
    /// When it began to run; nothing when it ended before.
    pub began: Option<Moment>,
    /// When it ended.
    pub ended: Moment,
    /// How it ended.
    pub outcome: CallOutcome,
    /// Why.
    pub reason: Cause,
}

impl CallRecord {
    /// How long it ran.
    #[must_use]
    pub fn run_time(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| self.ended - began)
    }

    /// How much longer it ran than planned: what the worker took beside, and how late the sleep
    /// ended. Under contention it is also what other calls took of the CPU.
    #[must_use]
    pub fn lateness(&self) -> Duration {
        let planned = self.planned.map_or(Duration::MAX, |planned| planned.runtime);
        self.run_time().saturating_sub(planned)
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// It was answered.
    Succeeded,
    /// It was refused or failed, for this kind of reason.
    Failed(ErrorKind),
    /// Its client gave it up, or its client's deadline passed.
    Cancelled,
}

/// Is told of every call that ended.
pub trait Sink: fmt::Debug + Send + Sync {
    /// Whether it wants to be told. No record is made while no sink does.
    fn is_active(&self) -> bool {
        true
    }

    /// A call ended. This runs on the call's thread: it must neither wait nor fail.
    fn call_ended(&self, record: &CallRecord);
}
