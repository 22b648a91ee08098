//! What is wrong in a file is said in one line, with the line and the column.

use proptest::prelude::*;

use crate::scenario::{SCENARIOS, Scenario};

/// The error of a text.
fn refused(text: &str) -> String {
    let error = Scenario::parse(text).expect_err(text).to_string();
    assert!(!error.contains('\n') && error.len() < 1000, "{error}");
    error
}

#[test]
fn each_mistake_is_one_line_with_its_place_and_what_was_expected() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        // What is not YAML, or more than a scenario needs.
        ("version: 1\nseed: [", "2:7: not YAML: "),
        ("version: 1\n\tseed: 1", "1:10: not YAML: "),
        ("version: 1\nseed: 'a", "2:7: not YAML: "),
        ("version: 1\nseed: 1\nseed: 2", "3:1: found the key 'seed' twice"),
        ("version: 1\n---\nversion: 1", "2:1: found a second document"),
        ("version: &a 1\nseed: *a", "2:7: found an alias"),
        ("version: !!str 1", "1:16: found a tag"),
        ("version: 1\n? [a]\n: 1", "2:3: found a list or a map, expected a key"),
        ("- version: 1", "1:1: found a list, expected keys with values"),
        ("scenario", "1:1: found 'scenario', expected keys with values"),
        ("%YAML 1.2\n---\nversion: 1", "1:1: not YAML: "),
        // Keys.
        ("", "1:1: found no 'version', expected one"),
        ("version: 2", "1:10: found the version 2, expected 1"),
        ("version: one", "1:10: found 'one', expected a whole number from 0 to 4294967295"),
        (
            "version: 1\nfunction: {}",
            "2:1: found the key 'function', which is not known; did you mean 'functions'?",
        ),
        (
            "version: 1\ndefaults:\n  tmieout: 3s",
            "3:3: found the key 'tmieout', which is not known; did you mean 'timeout'?",
        ),
        (
            "version: 1\nworker: {zzz: 1}",
            "2:10: found the key 'zzz', which is not known; expected one",
        ),
        ("version: 1\nfaults: {name: a}", "2:9: found a map, expected a list"),
        ("version: 1\ndefaults: [1]", "2:11: found a list, expected keys with values"),
        // Values.
        ("version: 1\nseed: -1", "2:7: found '-1', expected a whole number from 0 to 1844674407"),
        ("version: 1\nworker: {cpus: 0}", "2:16: found 0, expected a number of CPUs from 1"),
        ("version: 1\nworker: {memory: lots}", "2:18: found 'lots', expected a size"),
        (
            "version: 1\nworker: {contention: relativ}",
            "2:22: found the value 'relativ', which is not \
          known; did you mean 'relative'?",
        ),
        ("version: 1\nworker: {interference: .nan}", "2:24: found '.nan', expected a number"),
        (
            "version: 1\nworker: {interference: -1}",
            "2:24: found -1, expected a number from 0 to 100",
        ),
        (
            "version: 1\ndefaults: {timeout: soon}",
            "2:21: found 'soon', expected a duration such as",
        ),
        (
            "version: 1\ndefaults: {timeout: [3s]}",
            "2:21: found a list, expected none or a duration",
        ),
        (
            "version: 1\ndefaults: {concurrency: 0}",
            "2:25: found 0, expected none or a number of calls",
        ),
        (
            "version: 1\ndefaults: {concurrency: many}",
            "2:25: found 'many', expected registered, none",
        ),
        (
            "version: 1\ndefaults: {queue: {depth: x}}",
            "2:27: found 'x', expected a number of calls",
        ),
        ("version: 1\ndefaults: {cpu: 0.5}", "2:17: found '0.5', expected registered or none"),
        ("version: 1\ndefaults: {cpu: {period: 1s}}", "2:17: found no 'quota', expected one"),
        ("version: 1\ndefaults: {cpu: {quota: 0}}", "2:25: found 0, expected a number from 0.001"),
        (
            "version: 1\ndefaults: {cpu: {quota: 1, period: 1ns}}",
            "2:36: found 1ns, expected a period",
        ),
        (
            "version: 1\ndefaults: {memory: {growth: 1MiB}}",
            "2:29: found '1MiB', expected a size in a time",
        ),
        ("version: 1\ndefaults: {noise: {sigma: 9}}", "2:19: found a sigma of 9, expected 0 to 3"),
        ("version: 1\ndefaults: {noise: {}}", "2:19: expected one of 'sigma' and 'p99_over_p50'"),
        (
            "version: 1\ndefaults: {starts: {fail_percent: 101}}",
            "2:35: found 101, expected a number from 0",
        ),
        (
            "version: 1\ndefaults: {overload_status: BUSY}",
            "2:29: found 'BUSY', expected a gRPC code",
        ),
        // Distributions.
        (
            "version: 1\ndefaults: {cold_start: {}}",
            "2:24: found no distribution, expected a duration or",
        ),
        ("version: 1\ndefaults: {cold_start: {p50: 1s}}", "2:24: found p50, expected p99 as well"),
        ("version: 1\ndefaults: {cold_start: {p50: 2s, p99: 1s}}", "2:24: found p99 below p50"),
        (
            "version: 1\ndefaults: {cold_start: {fixed: 1s, p50: 1s}}",
            "2:24: found both fixed and p50",
        ),
        (
            "version: 1\ndefaults: {cold_start: {p90: 1s}}",
            "2:25: found the key 'p90', which is not known",
        ),
        (
            "version: 1\ndefaults: {cold_start: {quantiles: {median: 1s, p99: 2s}}}",
            "2:37: found 'median', expected a percentile",
        ),
        (
            "version: 1\ndefaults: {cold_start: {quantiles: {p50: 1s, p99: 2s}, mean: 9s}}",
            "2:62: found a mean of 9s, expected one from",
        ),
        (
            "version: 1\ndefaults: {cold_start: {preset: dokcer}}",
            "2:33: found the preset 'dokcer', which is not known; did you mean 'docker'?",
        ),
        ("version: 1\ndefaults: {cold_start: {mix: []}}", "2:30: found no part"),
        (
            "version: 1\ndefaults: {cold_start: {mix: [{weight: 0, fixed: 1s}]}}",
            "2:40: found 0, expected a weight above 0",
        ),
        (
            "version: 1\ndefaults: {cold_start: {mix: [{mix: []}]}}",
            "2:37: found a mix of 0 in a mix",
        ),
        ("version: 1\ndefaults: {cold_start: {weight: 1, fixed: 1s}}", "2:33: found a weight"),
        (
            "version: 1\ndefaults: {cold_start: {file: a.csv, column: run_ns}}",
            "2:31: found a file, expected none",
        ),
        // Faults.
        ("version: 1\nfaults: [{status: 14}]", "2:10: found no 'name', expected one"),
        ("version: 1\nfaults: [{name: a}]", "2:10: the fault 'a': found none of delay, status"),
        (
            "version: 1\nfaults: [{name: a, status: 14, kill: crash}]",
            "2:10: the fault 'a': found several of delay",
        ),
        (
            "version: 1\nfaults:\n  - {name: a, status: 14}\n  - {name: a, status: 14}",
            "4:12: found a second fault 'a'",
        ),
        (
            "version: 1\nfaults: [{name: a, kill: dead}]",
            "2:26: found the value 'dead', which is not",
        ),
        ("version: 1\nfaults: [{name: a, kill: hang, percent: 200}]", "2:41: found 200, expected"),
        (
            "version: 1\nfaults: [{name: a, kill: hang, from: 5s, to: 5s}]",
            "2:46: found 5s, expected more",
        ),
        (
            "version: 1\nfaults: [{name: a, kill: hang, to: 5s, every: 4s}]",
            "2:47: found 4s, expected a time of at least 'to'",
        ),
        ("version: 1\nfaults: [{name: a, start: {}}]", "2:27: expected one of 'fail' and 'slow'"),
        (
            "version: 1\nfaults: [{name: a, header: 'a b'}]",
            "2:28: expected the name of a request header",
        ),
        (
            "version: 1\nfaults: [{name: a, header: x-a}, {name: b, header: x-b}]",
            "2:52: found a second header, expected x-a here as well",
        ),
        (
            "version: 1\nfaults: [{name: a, kill: hang, instances: {every_nth: 0}}]",
            "2:55: found 0, expected a whole number from 1",
        ),
    ] {
        let error = refused(text);
        if !error.starts_with(expected) {
            wrong.push(format!("{text}\n  found     {error}\n  expected  {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_that_is_deep_or_wide_is_refused_or_read_in_bounded_time() {
    let deep = format!("version: 1\ndefaults: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refused(&deep).contains("not YAML"));
    let deep = (0..1000).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n");
    assert!(refused(&deep).contains("not YAML"));
    let mut wide = "version: 1\nfunctions:\n".to_owned();
    (0..10_000).for_each(|at| wide += &format!("  f{at}: {{timeout: 1s}}\n"));
    Scenario::parse(&wide).unwrap();
    let mut faults = "version: 1\nfaults:\n".to_owned();
    (0..1001).for_each(|at| faults += &format!("  - {{name: f{at}, kill: hang}}\n"));
    assert!(refused(&faults).starts_with("1003:5: found more than 1000 faults"));
}

#[test]
fn what_may_stay_empty_stays_empty_and_json_is_read() {
    Scenario::parse("# A comment\nversion: 1\nseed:\nworker:\ndefaults: {}\nfaults: []\n").unwrap();
    let scenario = Scenario::parse(
        r#"{"$schema": "scenario.schema.json", "version": 1, "seed": 18446744073709551615,
            "worker": {"cpus": 4, "memory": 1073741824, "contention": "absolute"},
            "faults": [{"name": "a", "status": 14, "percent": 0.5}]}"#,
    );
    let scenario = scenario.unwrap();
    assert_eq!(scenario.seed(), Some(u64::MAX));
    assert_eq!((scenario.worker().cpus, scenario.worker().memory), (Some(4), Some(1 << 30)));
    assert_eq!(scenario.faults()[0].name(), "a");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_in_one_line(text in ".*|[a-z0-9:{}\\[\\], \n'\"*&!-]{0,200}") {
        if let Err(error) = Scenario::parse(&text) {
            let error = error.to_string();
            prop_assert!(!error.contains('\n'), "{error}");
        }
    }

    /// A preset with some bytes changed.
    #[test]
    fn a_scenario_with_typing_errors_is_read_or_refused(
        preset in 0..SCENARIOS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 1..5),
    ) {
        let mut text: Vec<_> = SCENARIOS[preset].text.chars().collect();
        for (at, character) in changes {
            let at = at.index(text.len());
            text[at] = character;
        }
        if let Err(error) = Scenario::parse(&String::from_iter(text)) {
            let error = error.to_string();
            let mut place = error.split(':');
            let number = |text: Option<&str>| text.and_then(|text| text.parse::<usize>().ok());
            let (line, column) = (number(place.next()), number(place.next()));
            prop_assert!(line.is_some() && column.is_some(), "{error}");
        }
    }
}
