use std::{path::Path, sync::Arc};

use hyperfake_predictor::{Error, Result};
use parking_lot::Mutex;

use crate::{
    clock::Clock,
    record::{CallRecord, Destination, Format, Row, RowFile, Sink},
    wire,
};

/// Writes a row about every call of a worker in virtual time, which waits for the file: no row is left out,
/// however fast time passes.
#[derive(Debug)]
pub(super) struct RowSink {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: RowFile,
    waiting: Vec<CallRecord>,
    /// Why the file could not be written.
    fault: Option<std::io::Error>,
}

/// Rows that are written at once.
const BATCH: usize = 4096;

impl RowSink {
    /// Opens the file.
    ///
    /// # Errors
    ///
    /// Those of [`Destination::new`] and [`RowFile::open`].
    pub(super) fn open(path: &Path, clock: Clock) -> Result<Arc<Self>> {
        let file = RowFile::open(Destination::new(path, Format::Own)?)?;
        let state = Mutex::new(State { file, waiting: Vec::new(), fault: None });
        Ok(Arc::new(Self { clock, state }))
    }

    /// Writes what waits.
    ///
    /// # Errors
    ///
    /// When a row could not be written.
    pub(super) fn finish(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.write(&self.clock);
        match state.fault.take() {
            None => Ok(()),
            Some(error) => {
                let path = state.file.path().display().to_string();
                Err(Error::unavailable("cannot write the file").with_source(error).at(path))
            }
        }
    }
}

impl Sink for RowSink {
    fn call_ended(&self, record: &CallRecord) {
        let mut state = self.state.lock();
        state.waiting.push(record.clone());
        if state.waiting.len() >= BATCH {
            state.write(&self.clock);
        }
    }
}

impl State {
    fn write(&mut self, clock: &Clock) {
        let rows = self.waiting.iter().map(|record| Row::of(record, clock, wire::kind_name));
        if self.fault.is_none()
            && let Err(error) = self.file.append(rows)
        {
            self.fault = Some(error);
        }
        self.waiting.clear();
    }
}
