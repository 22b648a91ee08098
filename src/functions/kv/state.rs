//! What a store holds, without locks and without a file: [`State::plan`] says what a write would
//! change, and [`State::apply`] changes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use hyperfake_proto::etcd::{Event, KeyValue, event::EventType};

use super::{Keys, Limits, Refusal};

#[derive(Debug)]
pub(super) struct State {
    pub(super) limits: Limits,
    entries: BTreeMap<Bytes, Entry>,
    /// The bytes of all keys and values.
    bytes: usize,
    pub(super) revision: i64,
    /// The newest changes, oldest first; each with what was there before.
    history: VecDeque<Event>,
    history_bytes: usize,
    /// The oldest revision that can be read, and from which changes are known.
    pub(super) compacted: i64,
    /// The keys that may be evicted when the store is full; the first of them goes first.
    evictable: BTreeSet<Rank>,
    /// The number of look-ups so far.
    lookups: u64,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) kv: KeyValue,
    /// What was posted to the registry of 2025, if that is how the key was made. Such keys can be
    /// evicted, because that registry has no way to delete a function.
    pub(super) posted: Option<Bytes>,
    /// The number of the look-up that asked for it last; 0 is none.
    used: u64,
}

/// The order of eviction: what was never looked up, then what was not looked up for longest; the oldest
/// first.
type Rank = (u64, i64, Bytes);

/// A write.
#[derive(Debug, Clone)]
pub(in crate::functions) enum Write {
    Put { key: Bytes, value: Option<Bytes>, posted: Option<Bytes>, must_exist: bool },
    Delete(Keys),
}

/// The changes of one revision.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
}

/// A change of one key.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) event: Event,
    pub(super) posted: Option<Bytes>,
    /// Whether it only makes room for the others.
    pub(super) evicts: bool,
}

/// What is asked of a range.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query {
    /// The revision to read; 0 is the newest.
    pub revision: i64,
    /// The most keys that are wanted; 0 is all of them.
    pub limit: usize,
    /// Whether only their number is wanted.
    pub count_only: bool,
}

impl State {
    pub(super) fn new(revision: i64, limits: Limits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            bytes: 0,
            revision,
            history: VecDeque::new(),
            history_bytes: 0,
            compacted: 0,
            evictable: BTreeSet::new(),
            lookups: 0,
        }
    }

    /// Adds what a file has kept: entries, then changes, oldest first.
    pub(super) fn restore(&mut self, entries: Vec<(KeyValue, Option<Bytes>)>, history: Vec<Event>) {
        for (kv, posted) in entries {
            self.insert(kv, posted);
        }
        for event in history {
            self.remember(event);
        }
        self.trim();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Notes that a key was looked up, so that it is evicted later.
    pub(super) fn touch(&mut self, key: &[u8]) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.posted.is_some()) else {
            return;
        };
        self.evictable.remove(&rank(entry));
        self.lookups += 1;
        entry.used = self.lookups;
        self.evictable.insert(rank(entry));
    }

    /// The keys of a range in their order, and how many there are whatever the limit.
    pub(super) fn range(
        &self,
        keys: &Keys,
        query: Query,
    ) -> Result<(Vec<KeyValue>, usize), Refusal> {
        let Query { revision, limit, count_only } = query;
        let limit = if limit == 0 { usize::MAX } else { limit };
        if revision > self.revision {
            return Err(Refusal::Future);
        }
        if revision > 0 && revision < self.compacted {
            return Err(Refusal::Compacted(self.compacted));
        }
        if keys.is_empty() {
            return Ok((Vec::new(), 0));
        }
        let now = self.entries.range::<[u8], _>(keys.bounds()).map(|(_, entry)| &entry.kv);
        if revision == 0 || revision == self.revision {
            let wanted = if count_only { 0 } else { limit };
            let mut kvs = Vec::new();
            let mut count = 0;
            for kv in now {
                if count < wanted {
                    kvs.push(kv.clone());
                }
                count += 1;
            }
            return Ok((kvs, count));
        }
        // What is there now, without what happened since.
        let mut then: BTreeMap<&Bytes, &KeyValue> = now.map(|kv| (&kv.key, kv)).collect();
        for event in self.history.iter().rev().take_while(|event| at(event) > revision) {
            let Some(kv) = event.kv.as_ref().filter(|kv| keys.contains(&kv.key)) else { continue };
            match &event.prev_kv {
                Some(before) => then.insert(&before.key, before),
                None => then.remove(&kv.key),
            };
        }
        let count = then.len();
        let kvs = then.into_values().take(if count_only { 0 } else { limit }).cloned().collect();
        Ok((kvs, count))
    }

    /// The changes of these keys from a revision on, the oldest first: all of them, or whole
    /// revisions of about this many bytes; and the revision to go on from.
    pub(super) fn changes(&self, keys: &Keys, from: i64) -> Result<(Vec<Event>, i64), Refusal> {
        const MANY: usize = 64 << 10;
        if from < self.compacted {
            return Err(Refusal::Compacted(self.compacted));
        }
        let first = self.history.partition_point(|event| at(event) < from);
        let (mut events, mut bytes) = (Vec::new(), 0);
        for event in self.history.range(first..) {
            if bytes > MANY && events.last().is_some_and(|last| at(last) < at(event)) {
                return Ok((events, at(event)));
            }
            if event.kv.as_ref().is_some_and(|kv| keys.contains(&kv.key)) {
                bytes += event_bytes(event);
                events.push(event.clone());
            }
        }
        Ok((events, from.max(self.revision + 1)))
    }

    /// Refuses a write that can never be done.
    pub(super) fn check(&self, write: &Write) -> Result<(), Refusal> {
        let Write::Put { key, value, .. } = write else { return Ok(()) };
        if key.is_empty() {
            return Err(Refusal::NoKey);
        }
        let within = |what, found, limit| match found > limit {
            true => Err(Refusal::TooLong { what, found, limit }),
            false => Ok(()),
        };
        within("key", key.len(), self.limits.key_bytes)?;
        within("value", value.as_ref().map_or(0, Bytes::len), self.limits.value_bytes)
    }

    /// What a write would change: nothing, if it deletes nothing.
    pub(super) fn plan(&self, write: Write) -> Result<Plan, Refusal> {
        self.check(&write)?;
        let revision = self.revision + 1;
        match write {
            Write::Delete(keys) if keys.is_empty() => Ok(Plan::default()),
            Write::Delete(keys) => {
                let found = self.entries.range::<[u8], _>(keys.bounds());
                let changes =
                    found.map(|(_, entry)| deletion(&entry.kv, revision, false)).collect();
                Ok(Plan { changes })
            }
            Write::Put { key, value, posted, must_exist } => {
                let before = self.entries.get(&key).map(|entry| &entry.kv);
                let value = match (value, before) {
                    (None, None) => return Err(Refusal::UnknownKey),
                    (Some(_), None) if must_exist => return Err(Refusal::UnknownKey),
                    (None, Some(before)) => before.value.clone(),
                    (Some(value), _) => value,
                };
                let grows = key.len() + value.len() + posted.as_ref().map_or(0, Bytes::len);
                let shrinks = self.entries.get(&key).map_or(0, entry_bytes);
                let mut changes = self.make_room(&key, before.is_some(), grows, shrinks)?;
                let kv = KeyValue {
                    create_revision: before.map_or(revision, |before| before.create_revision),
                    mod_revision: revision,
                    version: before.map_or(0, |before| before.version) + 1,
                    lease: 0,
                    key,
                    value,
                };
                let r#type = EventType::Put.into();
                let event = Event { r#type, kv: Some(kv), prev_kv: before.cloned() };
                changes.push(Change { event, posted, evicts: false });
                Ok(Plan { changes })
            }
        }
    }

    /// Changes what was planned. Nothing was changed since the plan was made.
    pub(super) fn apply(&mut self, plan: &Plan) {
        for Change { event, posted, .. } in &plan.changes {
            let Some(kv) = event.kv.clone() else { continue };
            self.revision = kv.mod_revision;
            self.remove(&kv.key);
            if event.r#type() == EventType::Put {
                self.insert(kv, posted.clone());
            }
            self.remember(event.clone());
        }
        self.trim();
    }

    /// The evictions that make room for a key, if they are needed.
    fn make_room(
        &self,
        key: &[u8],
        exists: bool,
        grows: usize,
        shrinks: usize,
    ) -> Result<Vec<Change>, Refusal> {
        let Limits { keys: most_keys, bytes: most_bytes, .. } = self.limits;
        let mut keys = self.entries.len() + usize::from(!exists);
        let mut bytes = self.bytes + grows - shrinks;
        let mut evictions = Vec::new();
        let mut candidates = self.evictable.iter().filter(|(_, _, candidate)| candidate != key);
        let advice = "delete some";
        while keys > most_keys || bytes > most_bytes {
            let evicted = candidates.next().and_then(|(_, _, key)| self.entries.get(key));
            let Some(evicted) = evicted else {
                return Err(match keys > most_keys {
                    true => Refusal::Full { what: "functions", limit: most_keys, advice },
                    false => {
                        let what = "bytes of functions";
                        Refusal::Full { what, limit: most_bytes, advice }
                    }
                });
            };
            keys -= 1;
            bytes -= entry_bytes(evicted);
            evictions.push(deletion(&evicted.kv, self.revision + 1, true));
        }
        Ok(evictions)
    }

    fn insert(&mut self, kv: KeyValue, posted: Option<Bytes>) {
        self.revision = self.revision.max(kv.mod_revision);
        let entry = Entry { kv, posted, used: 0 };
        self.bytes += entry_bytes(&entry);
        if entry.posted.is_some() {
            self.evictable.insert(rank(&entry));
        }
        self.entries.insert(entry.kv.key.clone(), entry);
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry_bytes(&entry);
            self.evictable.remove(&rank(&entry));
        }
    }

    fn remember(&mut self, event: Event) {
        self.revision = self.revision.max(at(&event));
        self.history_bytes += event_bytes(&event);
        self.history.push_back(event);
    }

    /// Forgets the oldest changes that are too many, whole revisions at a time.
    fn trim(&mut self) {
        let Limits { history, history_bytes, .. } = self.limits;
        while self.history.len() > history || self.history_bytes > history_bytes {
            let oldest = self.history.front().map_or(i64::MAX, at);
            if oldest >= self.revision {
                return;
            }
            while let Some(event) = self.history.pop_front_if(|event| at(event) == oldest) {
                self.history_bytes -= event_bytes(&event);
            }
            self.compacted = oldest + 1;
        }
    }
}

fn deletion(before: &KeyValue, revision: i64, evicts: bool) -> Change {
    let kv = KeyValue { key: before.key.clone(), mod_revision: revision, ..KeyValue::default() };
    let r#type = EventType::Delete.into();
    let event = Event { r#type, kv: Some(kv), prev_kv: Some(before.clone()) };
    Change { event, posted: None, evicts }
}

/// The revision of a change.
pub(super) fn at(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

fn rank(entry: &Entry) -> Rank {
    (entry.used, entry.kv.create_revision, entry.kv.key.clone())
}

fn entry_bytes(entry: &Entry) -> usize {
    entry.kv.key.len() + entry.kv.value.len() + entry.posted.as_ref().map_or(0, Bytes::len)
}

fn event_bytes(event: &Event) -> usize {
    let kvs = event.kv.iter().chain(&event.prev_kv);
    kvs.map(|kv| kv.key.len() + kv.value.len()).sum()
}
