use std::{
    io,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use hyperfake_predictor::{Error, Result};

use super::{CallRecord, CodeName, Destination, Row, RowFile, Sink};
use crate::clock::{Clock, Moment, Throttle, precise};

/// Writes a row about every call that ended into a file, by a thread of its own.
///
/// Calls never wait for the file: they hand their records over through a queue that holds 32,768 of
/// them, and what finds it full is left out and counted. The rows are in the file about 10 ms later. When the file cannot be written (the disk is full, the folder
/// is gone), that is said once, rows are left out and counted, and once a second it is tried again.
#[derive(Debug)]
pub struct Recorder {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

/// What became of the calls so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recorded {
    /// Rows that were written.
    pub rows: u64,
    /// Calls that were left out because the queue was full.
    pub dropped: u64,
    /// Calls that were left out because the file could not be written.
    pub unwritten: u64,
}

/// Records that wait to be written, at most: more than half a second of 50,000 calls a second. They
/// have about 10 MB.
const CAPACITY: usize = 32_768;
/// Records that are written at once, at most.
const BATCH: usize = 4096;
/// How long the thread lets records gather: a wake-up and a system call for each would cost more than
/// writing them.
const PAUSE: Duration = Duration::from_millis(10);
/// How often it is looked whether the file is still there, how often a file that cannot be written is
/// tried again, and how often it is said at most that calls are left out.
const INTERVAL: Duration = Duration::from_secs(1);

impl Recorder {
    /// Opens the file and starts the thread. The moments of the records are those of this clock.
    ///
    /// # Errors
    ///
    /// When the file cannot be had, see [`RowFile::open`], or no thread.
    pub fn start(destination: Destination, clock: Clock, code: CodeName) -> Result<Self> {
        let file = RowFile::open(destination)?;
        let (sender, receiver) = sync_channel(CAPACITY);
        let queue = Arc::new(Queue { sender, state: Arc::default() });
        let state = Arc::clone(&queue.state);
        let writer =
            Writer { receiver, state, file, clock, code, checked: Moment::default(), fault: None };
        let thread = thread::Builder::new().name("record".into()).spawn(move || writer.run());
        let failed =
            |error| Error::unavailable("cannot start the recorder's thread").with_source(error);
        Ok(Self { queue, thread: Some(thread.map_err(failed)?) })
    }

    /// What workers tell of calls.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.queue) as _
    }

    /// What became of the calls so far.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        self.queue.state.recorded()
    }

    /// The numbers of the calls so far, also after the end of this.
    pub fn counter(&self) -> impl Fn() -> Recorded + Send + Sync + use<> {
        let state = Arc::clone(&self.queue.state);
        move || state.recorded()
    }

    /// Opens the file again by its path, soon: the one that had this name may have been moved. What
    /// came of it is logged.
    pub fn reopen(&self) {
        self.queue.state.reopens.store(true, Relaxed);
        self.queue.wake();
    }

    /// Writes what waits, closes the file, and logs what became of the calls.
    pub fn finish(mut self) -> Recorded {
        self.end();
        self.recorded()
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.queue.state.ends.store(true, Release);
        // Waits for room: the thread may have emptied a full queue just before it could see that it ends.
        let _ = self.queue.sender.send(None);
        if thread.join().is_err() {
            tracing::error!("the recorder's thread panicked");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

/// The calls' end of the queue.
#[derive(Debug)]
struct Queue {
    /// Nothing instead of a record wakes the thread.
    sender: SyncSender<Option<CallRecord>>,
    state: Arc<State>,
}

/// What the calls, the thread and the recorder's owner share. Nothing is ordered by it but that `ends` is
/// set after the last calls were queued.
#[derive(Debug, Default)]
struct State {
    rows: AtomicU64,
    dropped: AtomicU64,
    unwritten: AtomicU64,
    /// The file is to be opened again.
    reopens: AtomicBool,
    /// The thread is to end when the queue is empty.
    ends: AtomicBool,
}

impl State {
    fn recorded(&self) -> Recorded {
        Recorded {
            rows: self.rows.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            unwritten: self.unwritten.load(Relaxed),
        }
    }
}

impl Queue {
    /// A full queue is one that the thread reads anyway.
    fn wake(&self) {
        let _ = self.sender.try_send(None);
    }
}

impl Sink for Queue {
    fn call_ended(&self, record: &CallRecord) {
        if self.sender.try_send(Some(record.clone())).is_err() {
            self.state.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// The thread.
struct Writer {
    receiver: Receiver<Option<CallRecord>>,
    state: Arc<State>,
    file: RowFile,
    clock: Clock,
    code: CodeName,
    /// When it was last looked whether the file is still there.
    checked: Moment,
    /// Why the file cannot be written, if it cannot.
    fault: Option<Fault>,
}

/// A time in which the file cannot be written.
struct Fault {
    /// When it was last tried.
    tried: Moment,
    /// Calls that were left out.
    unwritten: u64,
}

impl Writer {
    fn run(mut self) {
        let throttle = Throttle::every(INTERVAL);
        let (mut batch, mut said) = (Vec::with_capacity(BATCH), 0);
        loop {
            let is_full = batch.len() == BATCH;
            batch.clear();
            if !is_full {
                // Nothing is left to do until something comes.
                match self.receiver.recv() {
                    Ok(record) => batch.extend(record),
                    Err(_) => break,
                }
                if !self.state.ends.load(Relaxed) {
                    thread::sleep(PAUSE);
                }
            }
            // Before the queue is found empty: what ended before this was asked for is in it.
            let ends = self.state.ends.load(Acquire);
            let is_empty = self.gather(&mut batch);
            self.write(&batch);
            let dropped = self.state.dropped.load(Relaxed);
            if dropped > said && throttle.is_due(precise::now()) {
                tracing::warn!(
                    calls = dropped - said,
                    "the record lacks calls: they end faster than rows are written"
                );
                said = dropped;
            }
            if self.state.reopens.swap(false, Relaxed) {
                self.reopen();
            }
            if is_empty && ends {
                break;
            }
        }
        self.end();
    }

    /// Takes what waits, as far as there is room, and returns whether nothing is left.
    fn gather(&self, batch: &mut Vec<CallRecord>) -> bool {
        while batch.len() < BATCH {
            match self.receiver.try_recv() {
                Ok(record) => batch.extend(record),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
            }
        }
        false
    }

    fn write(&mut self, batch: &[CallRecord]) {
        if batch.is_empty() {
            return;
        }
        let now = precise::now();
        if let Some(fault) = &mut self.fault {
            if now - fault.tried < INTERVAL && !self.state.ends.load(Relaxed) {
                fault.unwritten += batch.len() as u64;
                self.state.unwritten.fetch_add(batch.len() as u64, Relaxed);
                return;
            }
            fault.tried = now;
        }
        match self.try_write(batch, now) {
            Ok(rows) => {
                self.state.rows.fetch_add(rows, Relaxed);
                if let Some(fault) = self.fault.take() {
                    let (calls, path) = (fault.unwritten, self.file.path().display());
                    tracing::info!(%path, calls, "the record is written again; it lacks calls");
                }
            }
            Err(error) => {
                let count = batch.len() as u64;
                self.state.unwritten.fetch_add(count, Relaxed);
                let fault = self.fault.get_or_insert_with(|| {
                    let path = self.file.path().display();
                    tracing::error!(%path, %error, "the record cannot be written: it will lack calls");
                    Fault { tried: now, unwritten: 0 }
                });
                fault.unwritten += count;
            }
        }
    }

    /// Writes the rows, into a new file if the old one is gone.
    fn try_write(&mut self, batch: &[CallRecord], now: Moment) -> Result<u64> {
        if self.fault.is_some() || now - self.checked >= INTERVAL {
            self.checked = now;
            if self.file.is_gone() && self.file.reopen()? {
                let path = self.file.path().display();
                tracing::warn!(%path, "the record was moved or deleted: it goes on in a new file");
            }
        }
        let rows = batch.iter().map(|record| Row::of(record, &self.clock, self.code));
        let failed =
            |error: io::Error| Error::unavailable("cannot write the file").with_source(error);
        self.file.append(rows).map_err(failed)
    }

    fn reopen(&mut self) {
        let reopened = self.file.reopen();
        let path = self.file.path().display();
        match reopened {
            Ok(true) => tracing::info!(%path, "reopened the record"),
            Ok(false) => tracing::info!(%path, "the record has the file of its name already"),
            Err(error) => tracing::error!(%error, "recording continues in the old file"),
        }
    }

    fn end(self) {
        let Recorded { rows, dropped, unwritten } = self.state.recorded();
        let path = self.file.path().to_owned();
        let path = path.display();
        if let Err(error) = self.file.close() {
            tracing::error!(%path, %error, "the end of the record was not written");
        }
        if dropped + unwritten > 0 {
            tracing::warn!(%path, rows, dropped, unwritten, "the record lacks calls");
        } else {
            tracing::info!(%path, rows, "the record is complete");
        }
    }
}

#[cfg(test)]
mod tests;
