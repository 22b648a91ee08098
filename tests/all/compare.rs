//! `hyperfake compare`: how far the record of a fake is from that of the real functions.

mod checks;
mod coverage;

use std::{fs, io::Write, path::Path};

use hyperfake_predictor::{Random, normal};
use hyperfake_worker::{
    compare::{self, Comparison, Function, Options, Run, State},
    record::{Destination, Format, Row, RowFile},
};
use predicates::prelude::*;
use proptest::prelude::*;
use serde_json::Value;

use crate::program::hyperfake;

const MS: f64 = 1e6;
const BEGIN: u64 = 1_767_225_600_000_000_000;

fn run(line: &str) -> assert_cmd::assert::Assert {
    assert_cmd::Command::from_std(hyperfake()).args(line.split_whitespace()).assert()
}

/// A run of a function that takes the longer the more of its calls are running, and resembles itself from
/// call to call.
struct Law {
    seed: u64,
    calls: usize,
    /// What a running call adds, as a share of the time.
    by_load: f64,
    /// The deviation of the logarithm of the time.
    spread: f64,
    /// The mean time from one call to the next, in nanoseconds.
    gap: f64,
    /// What every time is multiplied by.
    factor: f64,
}

impl Default for Law {
    fn default() -> Self {
        Self { seed: 1, calls: 4000, by_load: 0.2, spread: 0.2, gap: 60.0 * MS, factor: 1.0 }
    }
}

impl Law {
    fn rows(&self) -> Vec<Row<'static>> {
        // The arrivals are the same whatever the law.
        let mut arrivals = Random::new(7, 0);
        let mut random = Random::new(self.seed, 1);
        let mut normal = || normal::quantile(random.fraction().max(1e-12));
        let (mut arrival, mut slow) = (0.0, 0.0);
        let mut ends: Vec<f64> = Vec::new();
        (0..self.calls as u64)
            .map(|call| {
                arrival += -self.gap * (1.0 - arrivals.fraction()).ln();
                ends.retain(|end| *end > arrival);
                let active = ends.len() as u64;
                slow = 0.9 * slow + 0.02 * normal();
                let cold = call % 9 == 0;
                let noise = (self.spread * normal() + slow).exp();
                let load = 1.0 + self.by_load * active as f64;
                let run = 20.0 * MS * self.factor * noise * load * if cold { 1.5 } else { 1.0 };
                ends.push(arrival + run);
                Row {
                    arrival_unix_ns: BEGIN + arrival as u64,
                    function: format!("id-{}", self.seed).into(),
                    image: "image".into(),
                    call: Some(call),
                    cold: Some(cold),
                    cold_start_ns: Some(if cold { (300.0 * MS * noise) as u64 } else { 0 }),
                    run_ns: Some(run as u64),
                    cpu_cores: Some(0.5),
                    ram_bytes: Some(8_000_000),
                    request_bytes: Some(100),
                    function_instances: Some(4),
                    active_calls: Some(active),
                    worker_cpu_cores: Some(0.5 * active as f64),
                    worker_ram_bytes: Some(8_000_000 * active),
                    outcome: "OK".into(),
                    ..Row::default()
                }
            })
            .collect()
    }
}

fn compared(real: &[Row<'_>], fake: &[Row<'_>]) -> Comparison {
    let run = |name, rows| Run::of(name, rows).unwrap();
    compare::compare(run("real", real), run("fake", fake), None, &Options::default()).unwrap()
}

fn function(comparison: &Comparison) -> &Function {
    comparison.functions.values().next().unwrap()
}

/// The score of the run times.
fn score(real: &[Row<'_>], fake: &[Row<'_>]) -> f64 {
    function(&compared(real, fake)).score.unwrap()
}

fn write(path: &Path, rows: impl IntoIterator<Item = Row<'static>>) {
    let destination = Destination::new(path, Format::Own).unwrap();
    let mut file = RowFile::open(destination).unwrap();
    file.append(rows.into_iter()).unwrap();
    file.close().unwrap();
}

#[test]
fn two_halves_of_one_real_run_score_about_0() {
    for seed in 1..=8 {
        let rows = Law { seed, calls: 12_000, ..Law::default() }.rows();
        let (first, second) = rows.split_at(rows.len() / 2);
        let every_second = |of: usize| -> Vec<_> {
            rows.iter()
                .enumerate()
                .filter(|(index, _)| index % 2 == of)
                .map(|(_, row)| row.clone())
                .collect()
        };
        for (real, fake) in [
            (first.to_vec(), second.to_vec()),
            (second.to_vec(), first.to_vec()),
            (every_second(0), every_second(1)),
        ] {
            let comparison = compared(&real, &fake);
            let found = function(&comparison);
            let distances = &found.run_time.as_ref().unwrap().distances;
            assert!(found.score.unwrap() <= 0.1, "{seed}: {distances:?}");
            assert!(distances.ks.score.unwrap() <= 0.1, "{seed}: {distances:?}");
            // And it is no accident of the form of the score: the two stand close to each other.
            let wasserstein = distances.wasserstein;
            assert!(
                (wasserstein.fake - wasserstein.real).abs() < 0.1 * wasserstein.mean,
                "{wasserstein:?}"
            );
        }
    }
}

#[test]
fn the_mean_of_a_real_run_scores_about_1_and_doubled_times_far_above() {
    for spread in [0.05, 0.2, 0.4] {
        let real = Law { spread, ..Law::default() }.rows();
        let times: f64 = real.iter().filter_map(|row| row.run_ns).map(|run| run as f64).sum();
        let mean = (times / real.len() as f64) as u64;
        let of = |change: &dyn Fn(u64) -> u64| -> Vec<_> {
            let change = |row: &Row<'static>| Row { run_ns: row.run_ns.map(change), ..row.clone() };
            real.iter().map(change).collect()
        };
        let always_mean = score(&real, &of(&|_| mean));
        assert!((always_mean - 1.0).abs() < 0.01, "{always_mean}");
        let doubled = score(&real, &of(&|run| 2 * run));
        assert!(doubled > 2.0, "{spread}: {doubled}");
        let slightly = score(&real, &of(&|run| run + run / 20));
        assert!((0.02..0.6).contains(&slightly), "{spread}: {slightly}");
    }
}

#[test]
fn a_fake_that_does_not_know_the_load_is_no_better_than_all_loads_together() {
    let real = Law { by_load: 0.5, spread: 0.1, gap: 40.0 * MS, ..Law::default() }.rows();
    // The same times, of other calls.
    let mut random = Random::new(3, 0);
    let mut times: Vec<_> = real.iter().map(|row| row.run_ns).collect();
    for index in (1..times.len()).rev() {
        times.swap(index, random.below(index + 1));
    }
    let fake: Vec<_> =
        real.iter().zip(times).map(|(row, run_ns)| Row { run_ns, ..row.clone() }).collect();
    let comparison = compared(&real, &fake);
    let found = function(&comparison);
    assert!(found.score.unwrap() < 0.01, "the distribution of all calls is the same");
    let by_load = found.by_load.as_ref().unwrap();
    assert_eq!((by_load.terciles.len(), by_load.share), (3, 1.0));
    let all_loads = by_load.wasserstein.unwrap().score_quantiles.unwrap();
    assert!((0.9..1.1).contains(&all_loads), "{:?}", by_load.wasserstein);
    // Another run of the same law knows it.
    let again = Law { by_load: 0.5, spread: 0.1, gap: 40.0 * MS, seed: 2, ..Law::default() }.rows();
    let comparison = compared(&real, &again);
    let by_load = function(&comparison).by_load.as_ref().unwrap();
    assert!(by_load.wasserstein.unwrap().score_quantiles.unwrap() < 0.15, "{by_load:?}");
    for tercile in &by_load.terciles {
        assert!((0.86..0.94).contains(&tercile.coverage.unwrap().p90), "{tercile:?}");
    }
}

#[test]
fn calls_of_the_same_workload_are_compared_one_by_one_and_over_time() {
    let real = Law::default().rows();
    let again = Law { seed: 2, ..Law::default() }.rows();
    let comparison = compared(&real, &again);
    assert!(comparison.valid, "{:?}", comparison.checks);
    let found = function(&comparison).per_call.as_ref().unwrap();
    assert_eq!((found.by, found.calls), ("call number", 4000));
    assert!(found.bias.abs() < 0.05 && (0.1..0.6).contains(&found.mape), "{found:?}");
    let over_time = &comparison.over_time;
    assert_eq!(over_time.window_seconds, 1.0);
    assert!(over_time.rate.nmse.unwrap() < 0.2, "{over_time:?}");
    assert!(over_time.cpu_cores.nmse.unwrap() < 1.0, "{over_time:?}");
    let cold = &function(&comparison).cold;
    assert_eq!((cold.share.real, cold.calls.fake), (Some(445.0 / 4000.0), 445));
    assert!(
        [cold.duration, cold.cold_run_time].iter().all(|it| it.unwrap().score.unwrap() < 0.3),
        "{cold:?}"
    );
    // With other arrivals, nothing of it is said.
    let other: Vec<_> = again
        .into_iter()
        .map(|row| Row {
            arrival_unix_ns: BEGIN + (row.arrival_unix_ns - BEGIN) / 2,
            call: None,
            ..row
        })
        .collect();
    let comparison = compared(&real, &other);
    assert!(function(&comparison).per_call.is_none());
    assert!(comparison.over_time.rate.nmse.is_none());
    let said = |text: &str| comparison.checks.iter().any(|check| check.text.contains(text));
    assert!(said("different arrivals"), "{:?}", comparison.checks);
}

#[test]
fn nothing_is_left_out_without_saying_so() {
    let real = Law::default().rows();
    let mut fake = real.clone();
    for (index, row) in fake.iter_mut().enumerate() {
        match index % 100 {
            0 => row.run_ns = Some(0),
            1 => (row.outcome, row.run_ns) = ("UNAVAILABLE".into(), None),
            2 => row.run_ns = None,
            _ => {}
        }
    }
    let only = |image: &'static str| Row { image: image.into(), ..real[0].clone() };
    let (mut with_one, mut with_other) = (real.clone(), fake.clone());
    with_one.push(only("gone"));
    with_other.extend([only("new"), only("new")]);
    let comparison = compared(&with_one, &with_other);
    let found = function(&comparison);
    let calls = found.calls.fake;
    assert_eq!((calls.calls, calls.answered, calls.failed), (4000, 3960, 40));
    assert_eq!((calls.without_run_time, calls.zero_run_time), (40, 40));
    assert_eq!((found.codes["OK"].real, found.codes["OK"].fake), (4000, 3960));
    assert_eq!((found.codes["UNAVAILABLE"].real, found.codes["UNAVAILABLE"].fake), (0, 40));
    assert_eq!(comparison.only_in_real["gone"], 1);
    assert_eq!(comparison.only_in_fake["new"], 2);
    let text = comparison.text();
    for expected in [
        "1 function only in the real record, with 1 calls: gone",
        "1 function only in the fake record, with 2 calls: new",
        "40 calls failed",
        "40 answered calls have no run_ns",
        "40 answered calls ran for 0 ns",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(!comparison.is_within(1000.0), "a function has no counterpart");
}

#[test]
fn too_few_calls_have_no_score() {
    let real = Law::default().rows();
    let comparison = compared(&real, &real[..99]);
    let found = function(&comparison);
    assert_eq!(found.score, None);
    assert_eq!(
        found.verdict,
        "too few calls: 4000 real and 99 fake ones ran and were answered, 100 each are needed"
    );
    assert!(!comparison.is_within(1000.0));
    assert!(score(&real[..100], &real[..100]) == 0.0);
}

#[test]
fn what_makes_the_numbers_meaningless_is_found() {
    let real = Law::default().rows();
    let invalid = |fake: Vec<Row<'static>>| {
        let comparison = compared(&real, &fake);
        let found = comparison.checks.iter().find(|check| check.state == State::Invalid).cloned();
        assert_eq!(comparison.valid, found.is_none());
        found.map(|check| check.text).unwrap_or_default()
    };
    assert_eq!(invalid(real.clone()), "");
    let microseconds =
        |row: &Row<'static>| Row { run_ns: row.run_ns.map(|run| run / 1000), ..row.clone() };
    let found = invalid(real.iter().map(microseconds).collect());
    assert!(found.contains("their units differ"), "{found}");
    let late = |(index, row): (usize, &Row<'static>)| {
        let by = if index % 20 == 0 { 15_000_000 } else { 0 };
        Row { arrival_unix_ns: row.arrival_unix_ns + by, ..row.clone() }
    };
    let found = invalid(real.iter().enumerate().map(late).collect());
    assert!(found.contains("5.0 % of these came in more than 10 ms before or after"), "{found}");
}

#[test]
fn a_real_run_that_says_little_is_reported() {
    let steady = Law::default().rows();
    let slower = |(index, row): (usize, &Row<'static>)| {
        let by = if index >= 2000 { 3 } else { 1 };
        Row { run_ns: row.run_ns.map(|run| by * run), ..row.clone() }
    };
    let unsteady: Vec<_> = steady.iter().enumerate().map(slower).collect();
    let said = |real: &[Row<'_>]| {
        compared(real, real).text().contains("record more calls, at a steadier load")
    };
    assert!(said(&unsteady) && !said(&steady), "{}", compared(&unsteady, &unsteady).text());
}

#[test]
fn the_warm_up_is_found_and_cut_off() {
    let warm = Law::default().rows();
    let slow = |(index, row): (usize, &Row<'static>)| {
        let by = if index < 400 { 3 } else { 1 };
        Row { run_ns: row.run_ns.map(|run| by * run), ..row.clone() }
    };
    let slow: Vec<_> = warm.iter().enumerate().map(slow).collect();
    let comparison = compared(&slow, &warm);
    let said = |comparison: &Comparison, text: &str| comparison.text().contains(text);
    assert!(said(&comparison, "the first tenth of the real calls"), "{}", comparison.text());
    let options = Options { warm_up: std::time::Duration::from_secs(25), ..Options::default() };
    let run = |name, rows: &[Row<'_>]| Run::of(name, rows).unwrap();
    let cut = compare::compare(run("real", &slow), run("fake", &warm), None, &options).unwrap();
    assert!(
        !said(&cut, "first tenth") && said(&cut, "the first 25 s were cut off: 4"),
        "{}",
        cut.text()
    );
    assert!(function(&cut).score.unwrap() < 0.01);
    let options = Options { warm_up: std::time::Duration::from_secs(1000), ..options };
    let error = compare::compare(run("real", &slow), run("fake", &warm), None, &options);
    assert_eq!(
        error.unwrap_err().to_string(),
        "real: no call came in after the first 1000 s; choose a shorter --warm-up"
    );
}

#[test]
fn a_second_run_says_how_far_the_real_is_from_itself() {
    let real = Law::default().rows();
    // A day on which everything takes a tenth longer.
    let other_day = Law { seed: 2, factor: 1.1, ..Law::default() }.rows();
    let fake = Law { seed: 3, factor: 1.1, ..Law::default() }.rows();
    let run = |name, rows: &[Row<'_>]| Run::of(name, rows).unwrap();
    let alone = score(&real, &fake);
    let repeat = Some(run("other day", &other_day));
    let options = Options::default();
    let found = compare::compare(run("real", &real), run("fake", &fake), repeat, &options).unwrap();
    let with_repeat = function(&found).score.unwrap();
    assert!(alone > 0.3 && with_repeat < 0.2, "{alone}, {with_repeat}");
    assert!(function(&found).per_call.as_ref().unwrap().mape_real.is_some());
}

#[test]
fn the_page_needs_nothing_else_and_shows_hostile_names_as_text() {
    let name = "<script>alert(1)</script>\"&\u{202e}\u{1b}[2J";
    let rename = |rows: Vec<Row<'static>>| -> Vec<_> {
        rows.into_iter().map(|row| Row { image: name.into(), ..row }).collect()
    };
    let mut real = rename(Law::default().rows());
    real[5].outcome = "<img src=x onerror=alert(2)>".into();
    let fake = rename(Law { seed: 2, ..Law::default() }.rows());
    let run = |name, rows: &[Row<'_>]| Run::of(name, rows).unwrap();
    let records = (run("<b>real", &real), run("fake&", &fake));
    let found = compare::compare(records.0, records.1, None, &Options::default()).unwrap();
    let page = found.page().unwrap();
    for hostile in ["<script", "<img", "<b>real", "\u{202e}", "\u{1b}", "http-equiv=\"refresh\""] {
        assert!(!page.contains(hostile), "{hostile}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    // Namespaces are the only addresses.
    let addresses = page.matches("http://").count() + page.matches("https://").count();
    assert_eq!(addresses, page.matches("http://www.w3.org/2000/svg").count());
    assert!(page.contains("default-src 'none'"));
    assert_eq!(page.matches("<svg ").count(), page.matches("</svg>").count());
    // The distribution, the quantiles, the load, the shares, and three over time.
    assert_eq!(page.matches("<svg ").count(), 7);
    assert!(!page.contains("#000000") && page.contains("currentColor"));
    assert!(!found.text().contains('\u{1b}') && !found.json().contains('\u{202e}'));
}

#[test]
fn the_command_writes_page_and_json_and_its_exit_code_says_whether_the_fake_is_near() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (real, near, far) = (path("real.csv"), path("near.jsonl"), path("far.csv"));
    write(real.as_ref(), Law::default().rows());
    write(near.as_ref(), Law { seed: 2, ..Law::default() }.rows());
    write(far.as_ref(), Law { seed: 2, factor: 2.0, ..Law::default() }.rows());
    run(&format!("compare {real} {near} --fail-above score=0.5")).success().stdout(
        predicate::str::contains("as near as the real is to itself")
            .and(predicate::str::contains("within --fail-above 0.5"))
            .and(predicate::str::contains("near.html")),
    );
    assert!(fs::read_to_string(path("near.html")).unwrap().starts_with("<!DOCTYPE html>"));
    let json = path("far.json");
    run(&format!("compare {real} {far} --fail-above 0.5 --json {json} --out {}", path("p.html")))
        .failure()
        .stdout(predicate::str::contains("wrong").and(predicate::str::contains("NOT within")));
    let json: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert!(json["functions"]["image"]["score"].as_f64().unwrap() > 2.0, "{json}");
    for part in ["wasserstein", "ks", "worst_quantile"] {
        assert!(json["functions"]["image"]["run_time"][part]["fake"].is_f64(), "{json}");
    }
    // What was compressed is read as it is.
    let compressed = path("real.csv.gz");
    let file = fs::File::create(&compressed).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    encoder.write_all(&fs::read(&real).unwrap()).unwrap();
    encoder.finish().unwrap();
    let output = run(&format!("compare {compressed} {far} --json - --repeat {near}")).success();
    let json: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(json["repeat"], near.as_str());
}

#[test]
fn bad_input_is_refused_with_file_row_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let real = path("real.csv");
    write(real.as_ref(), Law { calls: 200, ..Law::default() }.rows());
    let text = fs::read_to_string(&real).unwrap();
    let changed = |name: &str, from: &str, to: &str| {
        fs::write(path(name), text.replacen(from, to, 1)).unwrap();
        path(name)
    };
    let negative = changed("negative.csv", ",0.5,8000000,", ",-0.5,8000000,");
    let no_number = changed("nan.csv", ",0.5,8000000,", ",NaN,8000000,");
    let words = changed("words.csv", ",8000000,", ",many,");
    let columns = changed("columns.csv", "run_ns", "runtime");
    let empty = path("empty.csv");
    fs::write(&empty, text.lines().next().unwrap()).unwrap();
    let other = path("other.csv");
    let named =
        |image: &'static str| Row { image: image.into(), ..Law::default().rows()[0].clone() };
    write(other.as_ref(), [named("a"), named("b\u{1b}")]);
    for (fake, expected) in [
        (
            &negative,
            "negative.csv: row 1: column cpu_cores: found -0.5, expected a number that is not negative",
        ),
        (
            &no_number,
            "nan.csv: row 1: column cpu_cores: found NaN, expected a number that is not negative",
        ),
        (
            &words,
            "words.csv: row 1 (line 2), column ram_bytes: found 'many', expected a whole number",
        ),
        (&columns, "columns.csv: the first line lacks the column 'run_ns'"),
        (&empty, "empty.csv: the record has no calls"),
        (&path("nowhere.csv"), "nowhere.csv: there is no such file"),
        (&other, "the records have no function in common"),
    ] {
        let output = run(&format!("compare {real} {fake} --out {}", path("p.html"))).failure();
        let error = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        assert!(error.contains(expected), "{expected} is not in {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
    run(&format!("compare {real} {real} --out p.svg")).failure().stderr(predicate::str::contains(
        "--out: found 'p.svg', expected a file that ends in .html",
    ));
    run(&format!("compare {real} {real} --fail-above much"))
        .failure()
        .stderr(predicate::str::contains("such as 0.5 or score=0.5"));
}

fn any_row() -> impl Strategy<Value = Row<'static>> {
    let number = || prop::option::of(prop_oneof![0..1000_u64, any::<u64>()]);
    let numbers = (number(), number(), number(), number(), number());
    let image = prop::sample::select(vec!["", "a", "b"]);
    let outcome = prop::sample::select(vec!["OK", "OK", "OK", "INTERNAL"]);
    let cold = any::<Option<bool>>();
    let arrival = prop_oneof![BEGIN..BEGIN + 1_000_000_000, any::<u64>()];
    (arrival, image, numbers, outcome, cold, prop::option::of(0.0..64.0)).prop_map(
        |(
            arrival_unix_ns,
            image,
            (call, run_ns, cold_start_ns, ram_bytes, active),
            outcome,
            cold,
            cpu,
        )| Row {
            arrival_unix_ns,
            image: image.into(),
            function: "id".into(),
            call,
            run_ns,
            cold,
            cold_start_ns,
            ram_bytes,
            active_calls: active,
            cpu_cores: cpu,
            outcome: outcome.into(),
            ..Row::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_record_compared_with_itself_is_0(
        rows in prop::collection::vec(any_row(), 1..600), repeats in 1..4_usize,
    ) {
        // Enough of them for scores, some of the time.
        let rows: Vec<_> = (0..repeats).flat_map(|_| rows.clone()).collect();
        let comparison = compared(&rows, &rows);
        for function in comparison.functions.values() {
            prop_assert!(function.score.is_none_or(|score| score == 0.0));
            if let Some(run_time) = &function.run_time {
                let distances = &run_time.distances;
                for measure in [distances.wasserstein, distances.ks, distances.worst_quantile] {
                    prop_assert_eq!((measure.fake, measure.score.unwrap_or(0.0)), (0.0, 0.0));
                }
            }
            if let Some(by_load) = function.by_load.as_ref().and_then(|it| it.wasserstein) {
                prop_assert_eq!((by_load.fake, by_load.score.unwrap_or(0.0)), (0.0, 0.0));
            }
            if let Some(errors) = &function.per_call {
                prop_assert_eq!((errors.mape, errors.bias), (0.0, 0.0));
            }
            prop_assert!(function.codes.values().all(|calls| calls.real == calls.fake));
        }
        let over_time = &comparison.over_time;
        for error in [&over_time.rate, &over_time.cpu_cores, &over_time.ram_bytes] {
            prop_assert!(error.nmse.is_none_or(|nmse| nmse == 0.0));
        }
        prop_assert!(comparison.page().unwrap().ends_with("</html>"));
        let json: Value = serde_json::from_str(&comparison.json()).unwrap();
        prop_assert!(json["functions"].is_object());
    }
}
