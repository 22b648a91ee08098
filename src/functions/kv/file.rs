//! A store in a file, by redb: a write is one transaction, which is whole on the disk or not there.

use std::{
    panic,
    path::Path,
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use hyperfake_proto::etcd::{Event, KeyValue, event::EventType};
use prost::Message;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::state::{Plan, State, at};

/// The file, which a thread of its own writes: a disk takes milliseconds.
#[derive(Debug)]
pub(super) struct File {
    /// Taken at the end, which ends the thread.
    writes: Option<mpsc::UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// A plan, the oldest revision that has to be kept, and where the result is sent. There is one at a
/// time.
type Job = (Plan, i64, oneshot::Sender<Result<(), String>>);

/// Keys to entries.
const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
/// A revision and the number of a change in it to the change.
const HISTORY: TableDefinition<'_, (i64, u32), &[u8]> = TableDefinition::new("history");
/// The format of the file, and the newest revision.
const NUMBERS: TableDefinition<'_, &str, i64> = TableDefinition::new("numbers");
const FORMAT: i64 = 1;

/// Pages that redb keeps in memory, in bytes: everything is in our own memory as well.
const CACHE: usize = 1 << 20;

/// An entry in the file.
#[derive(Clone, PartialEq, Message)]
struct StoredEntry {
    #[prost(message, optional, tag = "1")]
    kv: Option<KeyValue>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    posted: Option<Bytes>,
}

impl File {
    /// Opens or makes a file, and restores what it has.
    pub(super) fn open(path: &Path, mut state: State) -> Result<(Self, State), String> {
        let path = path.to_owned();
        let (writes, mut jobs) = mpsc::unbounded_channel::<Job>();
        let (opened, is_open) = std::sync::mpsc::channel();
        let run = move || {
            // A file that is damaged may make redb panic.
            let read = panic::catch_unwind(panic::AssertUnwindSafe(|| {
                let database = database(&path)?;
                load(&database, &mut state)?;
                Ok((database, state))
            }));
            let damaged = |_| Err("it is damaged".to_owned());
            let mut database = match read.unwrap_or_else(damaged) {
                Ok((database, state)) => {
                    let _ = opened.send(Ok(state));
                    Some(database)
                }
                Err(reason) => {
                    let _ = opened.send(Err(reason));
                    return;
                }
            };
            while let Some((plan, oldest, written)) = jobs.blocking_recv() {
                let result = match database.take().map_or_else(|| self::database(&path), Ok) {
                    Ok(open) => write(&open, &plan, oldest).map(|()| database = Some(open)),
                    // redb wants a file whose disk failed to be opened again.
                    Err(error) => Err(error),
                };
                let _ = written.send(result);
            }
        };
        let started = thread::Builder::new().name("functions-file".into()).spawn(run);
        let thread = started.map_err(|error| format!("no thread for it: {error}"))?;
        let file = Self { writes: Some(writes), thread: Some(thread) };
        let state = is_open.recv().map_err(|_| "it is damaged".to_owned())??;
        Ok((file, state))
    }

    /// Writes what was planned, and waits until it is on the disk.
    pub(super) async fn write(&self, plan: Plan, oldest: i64) -> Result<(), String> {
        let (written, is_written) = oneshot::channel();
        let ended = || "the thread that writes it has ended".to_owned();
        let writes = self.writes.as_ref().ok_or_else(ended)?;
        writes.send((plan, oldest, written)).map_err(|_| ended())?;
        is_written.await.map_err(|_| ended())?
    }
}

/// Waits until the file is closed, so that it can be opened again.
impl Drop for File {
    fn drop(&mut self) {
        self.writes = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn database(path: &Path) -> Result<Database, String> {
    let opened = Builder::new().set_cache_size(CACHE).create(path);
    opened.map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => "another worker has it open".to_owned(),
        error => error.to_string(),
    })
}

/// Restores the state from a file; a new file gets the state's revision.
fn load(database: &Database, state: &mut State) -> Result<(), String> {
    let text = |error: redb::Error| error.to_string();
    let transaction = database.begin_write().map_err(|error| text(error.into()))?;
    begin(&transaction, state.revision).map_err(text)??;
    transaction.commit().map_err(|error| text(error.into()))?;
    let Contents { revision, oldest, entries, history } = read(database).map_err(text)??;
    (state.revision, state.compacted) = (revision, oldest);
    state.restore(entries, history);
    Ok(())
}

/// Makes the tables of a new file, and checks the format of another.
fn begin(transaction: &WriteTransaction, revision: i64) -> Result<Result<(), String>, redb::Error> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    transaction.open_table(ENTRIES)?;
    transaction.open_table(HISTORY)?;
    let format = numbers.get("format")?.map(|found| found.value());
    match format {
        Some(FORMAT) => {}
        Some(other) => {
            return Ok(Err(format!(
                "found format {other}, expected {FORMAT}: it is a newer one's"
            )));
        }
        None => {
            numbers.insert("format", FORMAT)?;
            numbers.insert("revision", revision)?;
            numbers.insert("oldest", 0)?;
        }
    }
    Ok(Ok(()))
}

/// What a file has.
struct Contents {
    revision: i64,
    /// The oldest revision from which changes are kept.
    oldest: i64,
    entries: Vec<(KeyValue, Option<Bytes>)>,
    history: Vec<Event>,
}

fn read(database: &Database) -> Result<Result<Contents, String>, redb::Error> {
    let transaction = database.begin_read()?;
    let numbers = transaction.open_table(NUMBERS)?;
    let number = |name: &str| -> Result<i64, redb::Error> {
        Ok(numbers.get(name)?.map_or(0, |found| found.value()))
    };
    let (revision, oldest) = (number("revision")?, number("oldest")?);
    let (mut entries, mut history) = (Vec::new(), Vec::new());
    let damaged = |what: &str| Ok(Err(format!("it is damaged: {what} cannot be read")));
    for item in transaction.open_table(ENTRIES)?.iter()? {
        match StoredEntry::decode(item?.1.value()) {
            Ok(StoredEntry { kv: Some(kv), posted }) => entries.push((kv, posted)),
            _ => return damaged("an entry"),
        }
    }
    for item in transaction.open_table(HISTORY)?.iter()? {
        match Event::decode(item?.1.value()) {
            Ok(event) => history.push(event),
            Err(_) => return damaged("a change"),
        }
    }
    Ok(Ok(Contents { revision, oldest, entries, history }))
}

fn write(database: &Database, plan: &Plan, oldest: i64) -> Result<(), String> {
    let written = || -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            let mut history = transaction.open_table(HISTORY)?;
            let mut numbers = transaction.open_table(NUMBERS)?;
            for (index, change) in plan.changes.iter().enumerate() {
                let Some(kv) = &change.event.kv else { continue };
                if change.event.r#type() == EventType::Put {
                    let posted = change.posted.clone();
                    let entry = StoredEntry { kv: Some(kv.clone()), posted }.encode_to_vec();
                    entries.insert(kv.key.as_ref(), entry.as_slice())?;
                } else {
                    entries.remove(kv.key.as_ref())?;
                }
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                let event = change.event.encode_to_vec();
                history.insert((kv.mod_revision, index), event.as_slice())?;
            }
            let revision = plan.changes.last().map(|change| at(&change.event));
            if let Some(revision) = revision {
                numbers.insert("revision", revision)?;
            }
            numbers.insert("oldest", oldest)?;
            history.retain_in(..(oldest, 0), |_, _| false)?;
        }
        transaction.commit()?;
        Ok(())
    };
    written().map_err(|error| error.to_string())
}
