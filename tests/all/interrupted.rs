//! Commands that are asked to end early: they show and write what they have.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::program::{Served, hyperfake};

fn spawn(line: &str) -> Child {
    let mut command = hyperfake();
    command.args(line.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn signal(process: &Child, name: &str) {
    let pid = process.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// The lines of a file, without the first one.
fn rows(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_load_that_is_terminated_reports_and_records_the_calls_that_it_made() {
    let served = Served::start("-m models/hyperfaas-echo.onnx");
    let folder = tempfile::tempdir().unwrap();
    let (csv, record) = (folder.path().join("calls.csv"), folder.path().join("record.csv"));
    let load = spawn(&format!(
        "load --functions hyperfaas-echo --rate 50 --duration 10m --address {} --database-address {} --csv {} \
         --record {}",
        served.address,
        served.database,
        csv.display(),
        record.display()
    ));
    served.wait_until_busy();
    // So that some calls are over.
    thread::sleep(Duration::from_secs(2));
    signal(&load, "-TERM");
    let output = load.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("it was stopped before its end"), "{text}");
    let calls = rows(&csv);
    assert!(!calls.is_empty());
    assert_eq!(rows(&record).len(), calls.len());
}

#[test]
fn a_replay_in_virtual_time_that_is_terminated_shows_what_it_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record.csv");
    let mut replay = spawn(&format!(
        "replay traces/samples/azure2019 --virtual --rate 20000 --json --record {}",
        record.display()
    ));
    while fs::metadata(&record).map_or(0, |file| file.len()) < 1 << 20 {
        assert_eq!(replay.try_wait().unwrap(), None, "it ended before it was signalled");
        thread::sleep(Duration::from_millis(20));
    }
    signal(&replay, "-TERM");
    let output = replay.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let replayed = &report["replayed"];
    assert_eq!(replayed["stopped"], true, "{replayed}");
    assert!(replayed["issued"].as_u64() < report["requested"].as_u64(), "{report}");
    let rows = rows(&record);
    assert_eq!(replayed["issued"], rows.len());
    // None is torn.
    let fields = |row: &String| row.split(',').count();
    assert!(rows.iter().all(|row| fields(row) == fields(&rows[0])));
}
