//! Keys, values and their history, with etcd's meaning of revisions: what the registry of 2025 and our
//! own etcd both show.

mod file;
mod keys;
mod limits;
mod state;
mod watcher;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use hyperfake_proto::etcd::KeyValue;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

pub(super) use self::state::Write;
use self::{
    file::File,
    state::{Plan, State},
};
pub use self::{
    keys::Keys,
    limits::{Limits, Refusal},
    state::Query,
    watcher::{Batch, Watcher},
};

/// A store; a clone is the same one.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    /// What it holds. Requests on any thread read and change it, for moments.
    state: Mutex<State>,
    /// Where it is kept as well.
    file: Option<File>,
    /// Held from planning a write until it is applied: with a file, that takes as long as the disk.
    writing: tokio::sync::Mutex<()>,
    /// Turns of writes that wait for the disk.
    waiting: Arc<Semaphore>,
    /// The newest revision, for those that wait for changes.
    newest: watch::Sender<i64>,
    /// Watchers, and streams of watchers, on any thread.
    watchers: AtomicUsize,
    closed: CancellationToken,
}

/// What a range had, and at which revision the store was.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The newest revision of the store.
    pub revision: i64,
    /// The keys and their values, in the order of the keys.
    pub kvs: Vec<KeyValue>,
    /// How many keys the range has, whatever the limit.
    pub count: usize,
}

/// What a write did.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The revision after it.
    pub revision: i64,
    /// What was there before: the value that was replaced, or all that were deleted.
    pub before: Vec<KeyValue>,
}

impl Store {
    /// A store in memory, without keys, whose revisions begin here. A number above those of an earlier
    /// life, such as the date's, lets clients go on watching.
    #[must_use]
    pub fn in_memory(revision: i64, limits: Limits) -> Self {
        Self::new(State::new(revision, limits), None)
    }

    /// A store that is also kept in this file, which is made if it is not there, with `revision` as its
    /// first. Every write is on the disk before it is answered.
    ///
    /// # Errors
    ///
    /// Why the file cannot be used.
    pub fn in_file(path: &Path, revision: i64, limits: Limits) -> Result<Self, String> {
        let (file, state) = File::open(path, State::new(revision, limits))?;
        Ok(Self::new(state, Some(file)))
    }

    fn new(state: State, file: Option<File>) -> Self {
        let (newest, limits) = (watch::Sender::new(state.revision), state.limits);
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            file,
            writing: tokio::sync::Mutex::default(),
            waiting: Arc::new(Semaphore::new(limits.waiting)),
            newest,
            watchers: AtomicUsize::new(0),
            closed: CancellationToken::new(),
        }))
    }

    /// The keys of a range.
    ///
    /// # Errors
    ///
    /// `Compacted` or `Future` when its revision cannot be read, `NoKey` without a key.
    pub fn range(&self, keys: &Keys, query: Query) -> Result<Found, Refusal> {
        check_key(keys)?;
        let state = self.0.state.lock();
        let (kvs, count) = state.range(keys, query)?;
        Ok(Found { revision: state.revision, kvs, count })
    }

    /// The value of a key that a worker looks up, which makes it less likely to be evicted.
    pub fn look_up(&self, key: &[u8]) -> Option<Bytes> {
        let mut state = self.0.state.lock();
        state.touch(key);
        state.get(key).map(|entry| entry.kv.value.clone())
    }

    /// What was posted to the registry of 2025 under this key, if it was, and the key's value.
    pub(super) fn posted(&self, key: &[u8]) -> Option<(Option<Bytes>, Bytes)> {
        let mut state = self.0.state.lock();
        state.touch(key);
        state.get(key).map(|entry| (entry.posted.clone(), entry.kv.value.clone()))
    }

    /// Gives a key a value; with `None` it keeps the one that it has. `must_exist` refuses a new key.
    ///
    /// # Errors
    ///
    /// When there is no room, the key or the value is too long or missing, or the file cannot be
    /// written.
    pub async fn put(
        &self,
        key: Bytes,
        value: Option<Bytes>,
        must_exist: bool,
    ) -> Result<Written, Refusal> {
        self.write(Write::Put { key, value, posted: None, must_exist }).await
    }

    /// Deletes the keys of a range.
    ///
    /// # Errors
    ///
    /// `NoKey` without a key, or when the file cannot be written.
    pub async fn delete(&self, keys: Keys) -> Result<Written, Refusal> {
        check_key(&keys)?;
        self.write(Write::Delete(keys)).await
    }

    /// Watches keys: every change from a revision on, or from now on.
    ///
    /// # Errors
    ///
    /// `NoKey` without a key, and `Full` when there are too many watchers.
    pub fn watch(&self, keys: Keys, from: Option<i64>) -> Result<Watcher, Refusal> {
        check_key(&keys)?;
        if keys.is_empty() {
            return Err(Refusal::EmptyRange);
        }
        let place = self.enter()?;
        let next = from.unwrap_or_else(|| self.revision() + 1);
        Ok(Watcher::new(place, keys, next))
    }

    /// A place among the watchers, for what is held even without a watcher.
    ///
    /// # Errors
    ///
    /// `Full` when there are too many.
    pub fn enter(&self) -> Result<Place, Refusal> {
        let limit = self.0.state.lock().limits.watchers;
        if self.0.watchers.fetch_add(1, Ordering::Relaxed) >= limit {
            self.0.watchers.fetch_sub(1, Ordering::Relaxed);
            let advice = "cancel some";
            return Err(Refusal::Full { what: "watchers", limit, advice });
        }
        Ok(Place(self.clone()))
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.0.state.lock().revision
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.state.lock().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest revision, as something that can be waited for.
    pub fn newest(&self) -> watch::Receiver<i64> {
        self.0.newest.subscribe()
    }

    /// Ends all watches, and refuses writes.
    pub fn close(&self) {
        self.0.closed.cancel();
    }

    /// Ends when the store is closed.
    pub async fn closed(&self) {
        self.0.closed.cancelled().await;
    }

    /// Changes keys, once that is on the disk.
    pub(super) async fn write(&self, write: Write) -> Result<Written, Refusal> {
        if self.0.file.is_none() {
            return self.write_now(write);
        }
        if self.0.closed.is_cancelled() {
            return Err(Refusal::Closed);
        }
        let limit = {
            let state = self.0.state.lock();
            state.check(&write)?;
            state.limits.waiting
        };
        let Ok(turn) = Arc::clone(&self.0.waiting).try_acquire_owned() else {
            let (what, advice) = ("writes before this one", "try again later");
            return Err(Refusal::Full { what, limit, advice });
        };
        // It goes on when its client no longer waits: what is in the file has to be in memory.
        let shared = Arc::clone(&self.0);
        let writing = tokio::spawn(async move {
            let _turn = turn;
            shared.write_to_file(write).await
        });
        writing.await.unwrap_or(Err(Refusal::Closed))
    }

    /// Changes keys of a store in memory.
    pub(super) fn write_now(&self, write: Write) -> Result<Written, Refusal> {
        if self.0.closed.is_cancelled() {
            return Err(Refusal::Closed);
        }
        if self.0.file.is_some() {
            return Err(Refusal::Unwritten("a write has to wait for the disk".into()));
        }
        let mut state = self.0.state.lock();
        let plan = state.plan(write)?;
        Ok(self.0.apply(&mut state, plan))
    }
}

impl Shared {
    async fn write_to_file(&self, write: Write) -> Result<Written, Refusal> {
        let _one_at_a_time = self.writing.lock().await;
        let (plan, compacted) = {
            let state = self.state.lock();
            (state.plan(write)?, state.compacted)
        };
        if let Some(file) = self.file.as_ref().filter(|_| !plan.changes.is_empty()) {
            file.write(plan.clone(), compacted).await.map_err(Refusal::Unwritten)?;
        }
        Ok(self.apply(&mut self.state.lock(), plan))
    }

    /// Applies a plan and wakes the watchers: before the write is answered.
    fn apply(&self, state: &mut State, plan: Plan) -> Written {
        state.apply(&plan);
        if !plan.changes.is_empty() {
            self.newest.send_replace(state.revision);
        }
        let evicted = plan.changes.iter().filter(|change| change.evicts).count();
        if evicted > 0 {
            tracing::debug!(evicted, "evicted functions of the registry to make room");
        }
        let wanted = plan.changes.into_iter().filter(|change| !change.evicts);
        let before = wanted.filter_map(|change| change.event.prev_kv).collect();
        Written { revision: state.revision, before }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("keys", &self.len()).finish_non_exhaustive()
    }
}

/// A place among the watchers, given back when it is dropped.
#[derive(Debug)]
pub struct Place(Store);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn check_key(keys: &Keys) -> Result<(), Refusal> {
    let (Keys::One(key) | Keys::From(key) | Keys::Between(key, _)) = keys;
    if key.is_empty() { Err(Refusal::NoKey) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
