use std::{fs, io::Read, path::Path, process::Command};

use hyperfake_predictor::{ErrorKind, Prediction};

use super::*;
use crate::{
    record::{CallOutcome, Format, InstanceId, RowReader},
    scenario::Cause,
};

const MS: Duration = Duration::from_millis(1);

fn call(number: u64) -> CallRecord {
    let arrived = precise::now();
    CallRecord {
        worker: "127.0.0.1:50051".into(),
        function: "f,\n\"1\"".into(),
        image: "echo".into(),
        instance: Some(InstanceId::from_bits(7 << 16)),
        number: Some(number),
        cold: number == 0,
        features: None,
        predicted: None,
        planned: Some(Prediction { runtime: 3 * MS, cpu_cores: 0.5, ram_bytes: 8 }),
        arrived,
        queued: MS,
        cold_start: 2 * MS,
        began: Some(arrived + 3 * MS),
        ended: arrived + 7 * MS,
        outcome: CallOutcome::Succeeded,
        reason: Cause::None,
    }
}

fn start(path: &Path) -> Recorder {
    let destination = Destination::new(path, Format::Own).unwrap();
    let code = |kind| match kind {
        ErrorKind::Exhausted => "RESOURCE_EXHAUSTED",
        _ => "UNKNOWN",
    };
    Recorder::start(destination, precise::start_with_thread(), code).unwrap()
}

/// The numbers of the calls in a file.
fn numbers(path: &Path) -> Vec<u64> {
    let mut reader = RowReader::open(path).unwrap();
    let mut numbers = Vec::new();
    while let Some(row) = reader.read().unwrap() {
        numbers.push(row.call.unwrap());
    }
    numbers
}

/// Lets calls end, for as long as a slow machine may need, until something holds.
fn until(recorder: &Recorder, next: &mut u64, holds: impl Fn(Recorded) -> bool) {
    for _ in 0..6000 {
        if holds(recorder.recorded()) {
            return;
        }
        recorder.sink().call_ended(&call(*next));
        *next += 1;
        thread::sleep(5 * MS);
    }
    panic!("waited for 30 s: {:?}", recorder.recorded());
}

#[test]
fn every_call_is_a_row_with_what_is_known_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.csv");
    let recorder = start(&path);
    let refused = CallRecord {
        instance: None,
        number: None,
        planned: None,
        queued: Duration::ZERO,
        cold_start: Duration::ZERO,
        began: None,
        outcome: CallOutcome::Failed(ErrorKind::Exhausted),
        reason: Cause::Overload,
        ..call(0)
    };
    recorder.sink().call_ended(&call(0));
    recorder.sink().call_ended(&refused);
    recorder.sink().call_ended(&CallRecord { outcome: CallOutcome::Cancelled, ..call(1) });
    assert_eq!(recorder.finish(), Recorded { rows: 3, ..Recorded::default() });
    let mut reader = RowReader::open(&path).unwrap();
    let row = reader.read().unwrap().unwrap().into_owned();
    assert_eq!((&*row.function, row.instance.as_deref()), ("f,\n\"1\"", Some("000000000007")));
    assert_eq!((row.call, row.cold, &*row.outcome, &*row.reason), (Some(0), Some(true), "OK", ""));
    assert_eq!((row.queue_ns, row.cold_start_ns), (Some(1_000_000), Some(2_000_000)));
    assert_eq!((row.planned_ns, row.run_ns), (Some(3_000_000), Some(4_000_000)));
    assert_eq!((row.lateness_ns, row.latency_ns()), (Some(1_000_000), 7_000_000));
    let row = reader.read().unwrap().unwrap().into_owned();
    assert_eq!((&*row.outcome, &*row.reason), ("RESOURCE_EXHAUSTED", "overload"));
    assert_eq!((row.instance, row.call, row.cold, row.run_ns), (None, None, None, None));
    assert_eq!(reader.read().unwrap().unwrap().outcome, "CANCELLED");
    assert!(reader.read().unwrap().is_none());
}

#[test]
fn what_finds_the_queue_full_is_counted_and_no_call_waits() {
    let folder = tempfile::tempdir().unwrap();
    // A pipe that is not read yet stops the thread.
    let path = folder.path().join("record.csv");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let recorder = start(&path);
    let mut pipe = fs::File::open(&path).unwrap();
    let (sink, call) = (recorder.sink(), call(0));
    let count = 3 * CAPACITY as u64;
    (0..count).for_each(|_| sink.call_ended(&call));
    let dropped = recorder.recorded().dropped;
    assert!(dropped >= CAPACITY as u64, "{dropped}");
    let reading = thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        // The function's id has a line end.
        (text.lines().count() as u64 - 1) / 2
    });
    let recorded = recorder.finish();
    assert_eq!(recorded.rows + recorded.dropped, count);
    assert_eq!(recorded.unwritten, 0);
    drop(sink);
    assert_eq!(reading.join().unwrap(), recorded.rows);
}

#[test]
fn a_file_that_was_moved_keeps_its_rows_and_the_record_goes_on_in_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("record.jsonl"), folder.path().join("old.jsonl"));
    let (recorder, mut next) = (start(&path), 0);
    until(&recorder, &mut next, |recorded| recorded.rows > 0);
    fs::rename(&path, &old).unwrap();
    recorder.reopen();
    until(&recorder, &mut next, |_| path.exists());
    recorder.sink().call_ended(&call(next));
    let recorded = recorder.finish();
    let (mut all, new) = (numbers(&old), numbers(&path));
    assert!(!all.is_empty() && !new.is_empty());
    all.extend(new);
    assert_eq!(all, (0..=next).collect::<Vec<_>>());
    assert_eq!(recorded.rows, next + 1);
}

#[test]
fn when_the_folder_is_gone_calls_are_counted_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("record.csv");
    let (recorder, mut next) = (start(&path), 0);
    until(&recorder, &mut next, |recorded| recorded.rows > 0);
    let before = numbers(&path).len() as u64;
    fs::remove_dir_all(&inner).unwrap();
    until(&recorder, &mut next, |recorded| recorded.unwritten > 10);
    fs::create_dir(&inner).unwrap();
    until(&recorder, &mut next, |_| path.exists());
    recorder.sink().call_ended(&call(next));
    let recorded = recorder.finish();
    assert_eq!(recorded.rows + recorded.unwritten, next + 1);
    assert_eq!(recorded.dropped, 0);
    let after = numbers(&path);
    assert_eq!(after.last(), Some(&next));
    assert!(before + after.len() as u64 <= recorded.rows);
}

#[test]
fn a_file_that_cannot_be_had_later_leaves_the_one_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("record.csv"), folder.path().join("old.csv"));
    let (recorder, mut next) = (start(&path), 0);
    until(&recorder, &mut next, |recorded| recorded.rows > 0);
    fs::rename(&path, &old).unwrap();
    fs::write(&path, "something else\n").unwrap();
    recorder.reopen();
    let rows = recorder.recorded().rows;
    until(&recorder, &mut next, |recorded| recorded.rows > rows + 10);
    assert_eq!(recorder.finish(), Recorded { rows: next, ..Recorded::default() });
    assert_eq!(numbers(&old), (0..next).collect::<Vec<_>>());
    assert_eq!(fs::read_to_string(&path).unwrap(), "something else\n");
}

#[test]
fn a_call_that_ends_just_before_the_recorder_is_in_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.csv");
    for round in 1..=50 {
        let recorder = start(&path);
        recorder.sink().call_ended(&call(0));
        // At some moment of the thread's pause, its write or its wait.
        thread::sleep(Duration::from_micros(fastrand::u64(8_000..13_000)));
        recorder.sink().call_ended(&call(1));
        assert_eq!(recorder.finish(), Recorded { rows: 2, ..Recorded::default() });
        assert_eq!(numbers(&path).len(), 2 * round);
    }
}

#[test]
fn a_recorder_whose_queue_is_full_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.jsonl");
    let call = call(0);
    for _ in 0..5 {
        let recorder = start(&path);
        let (sink, count) = (recorder.sink(), CAPACITY as u64 + 100);
        (0..count).for_each(|_| sink.call_ended(&call));
        let recorded = recorder.finish();
        assert_eq!(recorded.rows + recorded.dropped, count);
    }
}
