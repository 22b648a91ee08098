use std::collections::BTreeMap;

use hyperfake_proto::etcd::{Event, event::EventType};
use proptest::{prelude::*, test_runner::TestCaseResult};

use super::{state::Write, *};

type Bytes2 = (Vec<u8>, Vec<u8>);

/// What a store should do, the simple way: every revision's keys, and every change.
#[derive(Debug, Clone)]
struct Model {
    first: i64,
    /// The keys after each revision, from the first on.
    states: Vec<BTreeMap<Bytes, KeyValue>>,
    events: Vec<Event>,
}

impl Model {
    fn new(first: i64) -> Self {
        Self { first, states: vec![BTreeMap::new()], events: Vec::new() }
    }

    fn revision(&self) -> i64 {
        self.first + self.states.len() as i64 - 1
    }

    fn now(&self) -> &BTreeMap<Bytes, KeyValue> {
        self.states.last().unwrap()
    }

    fn put(&mut self, key: Bytes, value: Bytes) -> Vec<KeyValue> {
        let revision = self.revision() + 1;
        let mut state = self.now().clone();
        let before = state.get(&key).cloned();
        let kv = KeyValue {
            key: key.clone(),
            create_revision: before.as_ref().map_or(revision, |before| before.create_revision),
            mod_revision: revision,
            version: before.as_ref().map_or(1, |before| before.version + 1),
            value,
            lease: 0,
        };
        state.insert(key, kv.clone());
        let r#type = EventType::Put.into();
        self.events.push(Event { r#type, kv: Some(kv), prev_kv: before.clone() });
        self.states.push(state);
        before.into_iter().collect()
    }

    fn delete(&mut self, keys: &Keys) -> Vec<KeyValue> {
        let revision = self.revision() + 1;
        let (deleted, kept): (Vec<_>, Vec<_>) =
            self.now().clone().into_values().partition(|kv| keys.contains(&kv.key));
        if !deleted.is_empty() {
            self.states.push(kept.into_iter().map(|kv| (kv.key.clone(), kv)).collect());
            for before in &deleted {
                let key = before.key.clone();
                let kv = KeyValue { key, mod_revision: revision, ..KeyValue::default() };
                let r#type = EventType::Delete.into();
                self.events.push(Event { r#type, kv: Some(kv), prev_kv: Some(before.clone()) });
            }
        }
        deleted
    }

    fn range(&self, keys: &Keys, revision: i64) -> Vec<KeyValue> {
        let back = match revision {
            0 => 0,
            revision => (self.revision() - revision) as usize,
        };
        // Before its first revision a store was empty.
        let state = self.states.len().checked_sub(1 + back).map(|index| &self.states[index]);
        let kvs = state.into_iter().flat_map(BTreeMap::values);
        kvs.filter(|kv| keys.contains(&kv.key)).cloned().collect()
    }

    fn changes(&self, keys: &Keys, from: i64) -> Vec<Event> {
        let is_meant = |event: &&Event| {
            let kv = event.kv.as_ref().unwrap();
            kv.mod_revision >= from && keys.contains(&kv.key)
        };
        self.events.iter().filter(is_meant).cloned().collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>, Vec<u8>),
    Delete(Bytes2),
    /// A range, so many revisions ago (or in the future), and a limit.
    Range(Bytes2, i64, usize),
    Watch(Bytes2, i64),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0_u8, b'a', b'b', 255]), 1..3)
}

fn keys() -> impl Strategy<Value = Bytes2> {
    let end = prop_oneof![Just(Vec::new()), Just(vec![0]), key()];
    (key(), end)
}

fn step() -> impl Strategy<Value = Step> {
    let value = || prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| Step::Put(key, value)),
        1 => keys().prop_map(Step::Delete),
        2 => (keys(), -2..12_i64, 0..4_usize).prop_map(|(keys, ago, limit)| Step::Range(keys, ago, limit)),
        2 => (keys(), -2..12_i64).prop_map(|(keys, ago)| Step::Watch(keys, ago)),
    ]
}

fn asked((key, end): Bytes2) -> Keys {
    Keys::new(key.into(), end.into())
}

/// Does a step with both, and compares.
fn follow(store: &Store, model: &mut Model, step: Step) -> TestCaseResult {
    match step {
        Step::Put(key, value) => {
            let (key, value) = (Bytes::from(key), Bytes::from(value));
            let put = Write::Put {
                key: key.clone(),
                value: Some(value.clone()),
                posted: None,
                must_exist: false,
            };
            let written = store.write_now(put).unwrap();
            prop_assert_eq!(written.before, model.put(key, value));
            prop_assert_eq!(written.revision, model.revision());
        }
        Step::Delete(keys) => {
            let keys = asked(keys);
            let written = store.write_now(Write::Delete(keys.clone())).unwrap();
            prop_assert_eq!(written.before, model.delete(&keys));
            prop_assert_eq!(written.revision, model.revision());
        }
        Step::Range(keys, ago, limit) => {
            let (keys, revision) = (asked(keys), model.revision() - ago);
            let query = Query { revision, limit, count_only: false };
            let compacted = store.0.state.lock().compacted;
            match store.range(&keys, query) {
                Err(Refusal::Future) => prop_assert!(ago < 0),
                Err(Refusal::Compacted(oldest)) => {
                    prop_assert!(revision < oldest && oldest == compacted);
                }
                Err(other) => prop_assert!(false, "{other}"),
                Ok(found) => {
                    prop_assert!(ago >= 0 && revision >= compacted);
                    let mut expected = model.range(&keys, revision);
                    prop_assert_eq!(found.count, expected.len());
                    expected.truncate(if limit == 0 { usize::MAX } else { limit });
                    prop_assert_eq!(found.kvs, expected);
                    let query = Query { count_only: true, ..query };
                    let counted = store.range(&keys, query).unwrap();
                    prop_assert_eq!((counted.kvs, counted.count), (Vec::new(), found.count));
                }
            }
        }
        Step::Watch(keys, ago) => {
            let (keys, from) = (asked(keys), model.revision() - ago);
            let compacted = store.0.state.lock().compacted;
            let mut watcher = match store.watch(keys.clone(), Some(from)) {
                Err(refusal) => {
                    prop_assert!(refusal == Refusal::EmptyRange && keys.is_empty());
                    return Ok(());
                }
                Ok(watcher) => watcher,
            };
            match watcher.take() {
                Err(refusal) => {
                    prop_assert_eq!(refusal, Refusal::Compacted(compacted));
                    prop_assert!(from < compacted);
                }
                Ok(batch) => {
                    prop_assert!(from >= compacted);
                    prop_assert_eq!(batch.events, model.changes(&keys, from));
                    prop_assert!(watcher.take().unwrap().events.is_empty());
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_store_does_what_the_model_does(
        steps in prop::collection::vec(step(), 1..80),
        history in prop_oneof![1..6_usize, Just(1000)],
        history_bytes in prop_oneof![20..100_usize, Just(1 << 20)],
    ) {
        let limits = Limits { history, history_bytes, ..Limits::default() };
        let store = Store::in_memory(20, limits);
        let mut model = Model::new(20);
        for step in steps {
            follow(&store, &mut model, step)?;
            let state = store.0.state.lock();
            prop_assert!(history < 1000 || history_bytes < 1 << 20 || state.compacted == 0);
        }
    }
}

proptest! {
    // Each write waits for the disk.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_store_in_a_file_is_the_same_after_a_restart(
        before in prop::collection::vec(step(), 1..12),
        after in prop::collection::vec(step(), 1..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("functions");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let limits = Limits { history: 5, ..Limits::default() };
        let mut model = Model::new(20);
        for steps in [before, after] {
            let store = Store::in_file(&path, 20, limits).unwrap();
            for step in steps {
                match step {
                    Step::Put(key, value) => {
                        let (key, value) = (Bytes::from(key), Bytes::from(value));
                        let put = store.put(key.clone(), Some(value.clone()), false);
                        prop_assert_eq!(runtime.block_on(put).unwrap().before, model.put(key, value));
                    }
                    Step::Delete(keys) => {
                        let keys = asked(keys);
                        let deleted = runtime.block_on(store.delete(keys.clone())).unwrap();
                        prop_assert_eq!(deleted.before, model.delete(&keys));
                    }
                    step => follow(&store, &mut model, step)?,
                }
                prop_assert_eq!(store.revision(), model.revision());
            }
        }
    }
}

fn put(key: &str, value: &str, is_posted: bool) -> Write {
    let value = Bytes::copy_from_slice(value.as_bytes());
    let posted = is_posted.then(|| value.clone());
    let key = Bytes::copy_from_slice(key.as_bytes());
    Write::Put { key, value: Some(value), posted, must_exist: false }
}

fn all() -> Keys {
    Keys::From(Bytes::from_static(&[0]))
}

fn names(store: &Store) -> Vec<String> {
    let found = store.range(&all(), Query::default()).unwrap();
    found.kvs.iter().map(|kv| String::from_utf8(kv.key.to_vec()).unwrap()).collect()
}

#[test]
fn a_full_store_evicts_what_was_posted_and_not_looked_up_the_oldest_first() {
    for limits in
        [Limits { keys: 4, ..Limits::default() }, Limits { bytes: 12, ..Limits::default() }]
    {
        let store = Store::in_memory(1, limits);
        store.write_now(put("e", "x", false)).unwrap();
        // These are posted, and the middle one is looked up.
        for name in ["b", "c", "d"] {
            store.write_now(put(name, "x", true)).unwrap();
        }
        let _ = store.look_up(b"b").unwrap();
        let mut watcher = store.watch(all(), None).unwrap();
        let full = |name| store.write_now(put(name, "xx", true)).unwrap();
        full("f");
        assert!(names(&store).contains(&"b".to_owned()), "{:?}", names(&store));
        assert!(!names(&store).contains(&"c".to_owned()));
        // Watchers learn of it.
        let events = watcher.take().unwrap().events;
        assert_eq!(events[0].r#type(), EventType::Delete);
        assert_eq!(events[0].kv.as_ref().unwrap().key, "c");
        // Nobody who registers functions is locked out, and what etcd's clients put stays.
        for number in 0..100 {
            full(&*number.to_string().leak());
            assert!(names(&store).contains(&"e".to_owned()));
            assert!(names(&store).contains(&number.to_string()));
        }
    }
}

#[test]
fn a_store_that_is_full_of_what_must_stay_says_so_and_takes_changes() {
    let store = Store::in_memory(1, Limits { keys: 2, bytes: 10, ..Limits::default() });
    store.write_now(put("a", "1", false)).unwrap();
    store.write_now(put("b", "1", false)).unwrap();
    let error = store.write_now(put("c", "1", false)).unwrap_err().to_string();
    assert_eq!(error, "2 functions are kept, and there is room for no more: delete some");
    let error = store.write_now(put("a", "123456789", false)).unwrap_err().to_string();
    assert_eq!(error, "10 bytes of functions are kept, and there is room for no more: delete some");
    assert_eq!(store.revision(), 3);
    store.write_now(put("a", "1234567", false)).unwrap();
    store.write_now(Write::Delete(Keys::One("b".into()))).unwrap();
    store.write_now(put("c", "1", false)).unwrap();
    for (write, expected) in [
        (put("", "1", false), "etcdserver: key is not provided"),
        (put(&"k".repeat(1025), "1", false), "the key has 1025 bytes, expected at most 1024"),
        (put("a", &"v".repeat(70_000), false), "the value has 70000 bytes, expected at most 65536"),
    ] {
        assert_eq!(store.write_now(write).unwrap_err().to_string(), expected);
    }
}

#[test]
fn watchers_are_few_and_their_places_are_given_back() {
    let store = Store::in_memory(1, Limits { watchers: 2, ..Limits::default() });
    let first = store.watch(all(), None).unwrap();
    let _second = store.enter().unwrap();
    let error = store.watch(all(), None).unwrap_err().to_string();
    assert_eq!(error, "2 watchers are kept, and there is room for no more: cancel some");
    drop(first);
    store.watch(all(), None).unwrap();
}

#[test]
fn a_watcher_that_is_far_behind_gets_whole_revisions_in_several_batches() {
    let store = Store::in_memory(1, Limits::default());
    let mut watcher = store.watch(all(), None).unwrap();
    let value = "v".repeat(60_000);
    for number in 0..20 {
        store.write_now(put(&format!("{number:02}"), &value, false)).unwrap();
    }
    let mut batches = Vec::new();
    loop {
        let batch = watcher.take().unwrap().events;
        if batch.is_empty() {
            break;
        }
        batches.push(batch.len());
    }
    assert_eq!(batches, [2; 10]);
    store.write_now(Write::Delete(all())).unwrap();
    assert_eq!(watcher.take().unwrap().events.len(), 20);
}

#[tokio::test]
async fn few_writes_wait_for_the_disk_and_those_that_were_taken_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { waiting: 2, ..Limits::default() };
    let store = Store::in_file(&folder.path().join("functions"), 1, limits).unwrap();
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..10 {
        let store = store.clone();
        writes.spawn(async move {
            store.put(format!("{number}").into(), Some("1".into()), false).await.map(|_| number)
        });
    }
    let mut taken = Vec::new();
    for result in writes.join_all().await {
        match result {
            Ok(number) => taken.push(number.to_string()),
            Err(error) => {
                assert!(error.to_string().contains("2 writes before this one"), "{error}")
            }
        }
    }
    taken.sort_unstable();
    assert!((2..10).contains(&taken.len()), "{taken:?}");
    assert_eq!(names(&store), taken);
}

#[tokio::test]
async fn a_file_that_is_in_use_damaged_or_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("functions");
    let open = |path: &Path| Store::in_file(path, 1, Limits::default()).map(drop);
    let store = Store::in_file(&path, 1, Limits::default()).unwrap();
    let put = store.put("a".into(), Some("1".into()), false);
    assert_eq!(put.await.unwrap().revision, 2);
    assert_eq!(open(&path).unwrap_err(), "another worker has it open");
    drop(store);

    let text = folder.path().join("text");
    std::fs::write(&text, "this is no database, and long enough to be read as one".repeat(200))
        .unwrap();
    assert!(open(&text).is_err());
    assert!(open(folder.path()).is_err());
    assert!(open(&folder.path().join("none").join("functions")).is_err());
    // Wherever it is cut or changed, opening it ends with an error or with a store.
    let bytes = std::fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(bytes.len() / 40) {
        let damaged = folder.path().join(format!("damaged {at}"));
        let mut changed = bytes.clone();
        changed[at] ^= 0xff;
        std::fs::write(&damaged, &changed).unwrap();
        let _ = open(&damaged);
        std::fs::write(&damaged, &bytes[..at]).unwrap();
        let _ = open(&damaged);
    }
    assert!(open(&path).is_ok());
}
