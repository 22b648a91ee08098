//! Workload traces: which functions were called when, and how long they took.
//!
//! [`open`] reads a trace of any format that is known, [`Workload::new`] chooses what of it is replayed, and
//! [`Workload::arrivals`] are the calls, in the order of their moments. Nothing is left out silently: what
//! is not replayed, or was changed, is in the [`Notes`].

mod arrivals;
mod azure2019;
pub mod calls;
mod columns;
mod faasnet;
mod files;
mod huawei2023;
mod keys;
pub mod models;
mod names;
mod notes;
mod percentiles;
mod run_time;
mod single_calls;
mod workload;

use std::{fmt, path::Path, time::Duration};

use hyperfake_predictor::{Error, Result};

pub use self::{
    arrivals::{Arrivals, Call},
    notes::{Effect, Note, Notes},
    run_time::RunTime,
    workload::{Selection, Workload},
};

/// A trace that was read.
#[derive(Debug)]
pub struct Trace {
    /// What wrote it.
    pub format: Format,
    /// The functions, in the order in which they are in the trace.
    pub functions: Vec<Function>,
    /// Their calls.
    pub calls: Calls,
    /// What was left out of it or changed.
    pub notes: Notes,
}

/// A function of a trace.
#[derive(Debug, Clone, Default)]
pub struct Function {
    /// The image that it is registered with; no other function has it.
    pub image: String,
    /// The application that it is a part of, as the trace calls it; empty if the trace knows none.
    pub app: String,
    /// What the trace calls it.
    pub name: String,
    /// What calls it, such as `http` or `timer`; empty if the trace does not say.
    pub trigger: String,
    /// How long its calls run, if the trace says.
    pub run_time: Option<RunTime>,
    /// The memory that a call of it holds, in bytes, if the trace says.
    pub memory_bytes: Option<f64>,
    /// The CPU that a call of it holds, in cores, if the trace says.
    pub cpu_cores: Option<f64>,
    /// How long an instance of it takes to start, if the trace says.
    pub cold_start: Option<Duration>,
    /// Where its random numbers come from: it depends on the names alone.
    pub(crate) key: u64,
}

/// The calls of a trace. Functions are known by their places in [`Trace::functions`].
#[derive(Debug, Clone)]
pub enum Calls {
    /// How many there were in each stretch of time.
    Counted {
        /// The length of each stretch, in nanoseconds: at most that of a minute.
        bin_ns: u64,
        /// For each stretch the functions that were called, and how often.
        bins: Vec<Vec<(u32, u32)>>,
    },
    /// Each of them: its moment, in nanoseconds since the beginning of the trace, and its function. They are
    /// in the order of their moments.
    Single(Vec<(u64, u32)>),
}

/// The formats of traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Azure Functions, 2019: calls a minute, percentiles of run times and memory, by the day.
    Azure2019,
    /// A folder of InVitro's, with the columns of Azure 2019.
    InVitro,
    /// Huawei, 2023: a folder for each metric.
    Huawei2023,
    /// Alibaba's cold starts, published with FaaSNet.
    FaasNet,
    /// One of the formats with a row for each call, by the name that its reader gives it.
    SingleCalls(&'static str),
}

/// How a trace is read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// The part of the trace that is needed: from here, counted from its beginning.
    pub from: Duration,
    /// Until here.
    pub until: Duration,
    /// What a column of counts stands for in a folder of InVitro's, which does not say; else a minute.
    pub column: Option<Duration>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { from: Duration::ZERO, until: Duration::MAX, column: None }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// From the first call of a trace to its last one at most: three years. What is longer is a mistake, such as a
/// moment of zero among dates.
const LONGEST: Duration = Duration::from_secs(3 * 366 * 86_400);
const NS_PER_MS: f64 = 1e6;

/// Reads a trace: a file or a folder. The format is recognised by the columns of the files, which may be
/// compressed by gzip. `progress` is told which part is read, of how many.
///
/// # Errors
///
/// `NotFound` or `Unavailable` when something cannot be read, `Invalid` when it is no trace: the error names
/// file, row and column; and for a column's time where the trace itself says it.
pub fn open(
    path: &Path,
    reading: &Reading,
    mut progress: impl FnMut(usize, usize),
) -> Result<Trace> {
    let found = files::find(path)?;
    if reading.column.is_some() && found.format != Format::InVitro {
        let message = format!(
            "it has no use with a trace of {}, only with a folder of InVitro's, which has a memory.csv",
            found.format
        );
        return Err(Error::invalid(message).at("--column"));
    }
    let mut trace = match found.format {
        Format::Azure2019 | Format::InVitro => azure2019::read(&found, reading, &mut progress)?,
        Format::Huawei2023 => huawei2023::read(&found, reading, &mut progress)?,
        Format::FaasNet => faasnet::read(&found, reading, &mut progress)?,
        Format::SingleCalls(_) => single_calls::read(&found, reading, &mut progress)?,
    };
    for unknown in &found.unknown {
        trace.notes.add(Effect::LeftOut, "files of another kind", 0, || unknown.clone());
    }
    Ok(trace)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Azure2019 => "Azure 2019",
            Self::InVitro => "InVitro",
            Self::Huawei2023 => "Huawei 2023",
            Self::FaasNet => "FaaSNet",
            Self::SingleCalls(name) => name,
        })
    }
}
