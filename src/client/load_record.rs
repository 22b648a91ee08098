use std::{path::Path, time::Duration};

use hyperfake_predictor::{Error, Result};

use super::Sent;
use crate::{
    record::{Destination, Format, Row, RowFile, nanoseconds},
    wire::code_name,
};

/// The record of a run, as its client saw it: a row for each call, with the columns that a worker's record
/// has. What a client cannot know is not there.
#[derive(Debug)]
pub struct LoadRecord(RowFile);

/// What all calls of a run have in common.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Where the worker is.
    pub worker: &'a str,
    /// The functions, in the order in which calls number them.
    pub functions: &'a [FunctionNames<'a>],
    /// The size of each request's data, in bytes.
    pub request_bytes: u64,
    /// When the run began, as the time since the Unix epoch.
    pub began: Duration,
}

/// What is known of a function that was called; what is not is empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct FunctionNames<'a> {
    /// Its id.
    pub id: &'a str,
    /// What it was registered with.
    pub image: &'a str,
}

impl LoadRecord {
    /// Opens or makes the file, before the run, so that one that cannot be had is no surprise after it.
    ///
    /// # Errors
    ///
    /// Those of [`Destination::new`] and [`RowFile::open`].
    pub fn open(path: &Path) -> Result<Self> {
        RowFile::open(Destination::new(path, Format::Own)?).map(Self)
    }

    /// Writes the calls of a run.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn write(mut self, calls: &[Sent], run: &Run<'_>) -> Result<()> {
        let path = self.0.path().display().to_string();
        let rows = calls.iter().map(|call| row(call, run));
        let written = self.0.append(rows).and_then(|_| self.0.close());
        written.map_err(|error| {
            Error::unavailable("cannot write the file").with_source(error).at(path)
        })
    }
}

/// A call that came in when it was meant to be sent: what it waited for its client is a part of its run.
fn row<'a>(call: &Sent, run: &Run<'a>) -> Row<'a> {
    let waited_ns = call.timing.map(|timing| timing.waited_ns);
    let planned_ns = call.timing.map(|timing| timing.predicted_ns);
    let run_ns = call.latency_ns().saturating_sub(waited_ns.unwrap_or_default());
    let function = run.functions.get(call.function as usize).copied().unwrap_or_default();
    Row {
        arrival_unix_ns: nanoseconds(run.began).saturating_add(call.intended_ns),
        worker: run.worker.into(),
        function: function.id.into(),
        image: function.image.into(),
        cold_start_ns: waited_ns,
        planned_ns,
        run_ns: Some(run_ns),
        lateness_ns: planned_ns.map(|planned| run_ns.saturating_sub(planned)),
        request_bytes: Some(run.request_bytes),
        outcome: code_name(call.code).into(),
        ..Row::default()
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::client::Timing;

    const MS: u64 = 1_000_000;

    fn sent(code: Code, timing: Option<Timing>) -> Sent {
        let (intended_ns, sent_ns, ended_ns) = (100 * MS, 102 * MS, 120 * MS);
        Sent { function: 0, intended_ns, sent_ns, ended_ns, code, timing }
    }

    #[test]
    fn a_row_has_what_the_client_saw_and_nothing_else() {
        let functions = [FunctionNames { id: "f", image: "echo" }];
        let began = Duration::from_secs(7);
        let run = Run { worker: "localhost:1", functions: &functions, request_bytes: 5, began };
        let timing = Timing { predicted_ns: 10 * MS, waited_ns: 3 * MS, late_ns: MS };
        let answered = Row {
            arrival_unix_ns: 7_100_000_000,
            worker: "localhost:1".into(),
            function: "f".into(),
            image: "echo".into(),
            cold_start_ns: Some(3_000_000),
            planned_ns: Some(10_000_000),
            run_ns: Some(17_000_000),
            lateness_ns: Some(7_000_000),
            request_bytes: Some(5),
            outcome: "OK".into(),
            ..Row::default()
        };
        assert_eq!(row(&sent(Code::Ok, Some(timing)), &run), answered);
        assert_eq!(answered.latency_ns(), 20_000_000);
        let failed = Row {
            cold_start_ns: None,
            planned_ns: None,
            run_ns: Some(20_000_000),
            lateness_ns: None,
            outcome: "RESOURCE_EXHAUSTED".into(),
            ..answered
        };
        assert_eq!(row(&sent(Code::ResourceExhausted, None), &run), failed);
    }
}
