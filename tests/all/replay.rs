//! Traces: what is read of each format, and what becomes of its calls.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::{Compression, write::GzEncoder};
use hyperfake_predictor::{Backend, Features};
use hyperfake_predictor_json::JsonBackend;
use hyperfake_traces::{Format, SAMPLE, Size, functions, write};
use hyperfake_worker::{
    record::{self, Destination, Row, RowFile, RowReader},
    trace::{self, Reading, Selection, Workload},
};
use predicates::prelude::*;
use serde_json::Value;

use crate::{
    program::hyperfake,
    small_leaf::SmallLeaf,
    support::{TestWorker, repository},
};

fn run(line: &str) -> assert_cmd::assert::Assert {
    assert_cmd::Command::from_std(hyperfake()).args(line.split_whitespace()).assert()
}

fn json(line: &str) -> Value {
    let assert = run(&format!("replay {line} --json")).success();
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

/// Runs a program beside the tasks of this test, among which a worker is.
#[expect(clippy::disallowed_methods, reason = "it is no call")]
async fn beside<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The one line that says what is wrong.
fn refusal(line: &str) -> String {
    let assert = run(&format!("replay {line} --dry-run")).failure();
    let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

fn sample(format: Format) -> PathBuf {
    repository("traces/samples").join(format.name())
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

#[test]
fn the_samples_are_what_their_program_makes() {
    let folder = tempfile::tempdir().unwrap();
    for format in Format::ALL {
        let made = folder.path().join(format.name());
        write(format, SAMPLE, &made).unwrap();
        let made = files(&made).into_iter().map(|(path, bytes)| {
            (
                sample(format).join(path.strip_prefix(folder.path().join(format.name())).unwrap()),
                bytes,
            )
        });
        let made: BTreeMap<_, _> = made.collect();
        let same = files(&sample(format)) == made;
        let advice = "make them with 'cargo run -p hyperfake-traces -- traces/samples'";
        assert!(same, "the samples of {} are not those: {advice}", format.name());
    }
}

/// The calls of a function in all minutes of a sample.
fn calls(function: &hyperfake_traces::Function, size: Size) -> u64 {
    (0..size.minutes).map(|minute| u64::from(function.calls(minute))).sum()
}

#[test]
fn each_format_is_recognised_and_all_its_calls_are_there() {
    let all: Vec<_> = functions(SAMPLE).iter().map(|function| calls(function, SAMPLE)).collect();
    let total: u64 = all.iter().sum();
    // The fourth function is silent and the fifth has no run times, where the format has those oddities.
    let with_oddities = total - all[3] - all[4];
    for (format, name, expected) in [
        (Format::Azure2019, "Azure 2019", with_oddities),
        (Format::InVitro, "InVitro", with_oddities),
        (Format::Huawei2023, "Huawei 2023", total),
        (Format::Azure2021, "Azure", total),
        (Format::Huawei2025, "Huawei", total),
        (Format::Record, "record", total),
    ] {
        let report = json(&format!("{} --dry-run", sample(format).display()));
        let found = report["format"].as_str().unwrap();
        assert!(found.contains(name), "{found}");
        assert_eq!(report["requested"], expected, "{found}: {report}");
        assert_eq!(report["replayed"], Value::Null);
    }
    // It has no run times at all, and says so.
    let path = sample(Format::FaasNet).display().to_string();
    assert!(refusal(&path).contains("--run-time"));
    let report = json(&format!("{path} --dry-run --run-time 100ms"));
    assert!(report["requested"].as_u64().unwrap() > 0);
    assert_eq!(report["requested_mean_run_time_ns"], 1e8);
}

fn note(report: &Value, what: &str) -> Value {
    let notes = report["notes"].as_array().unwrap();
    let found = notes.iter().find(|note| note["what"].as_str().unwrap().contains(what));
    found.unwrap_or_else(|| panic!("no note says '{what}': {notes:?}")).clone()
}

#[test]
fn nothing_is_left_out_silently() {
    let report = json(&format!("{} --dry-run", sample(Format::Azure2019).display()));
    let functions = functions(SAMPLE);
    let repeated = note(&report, "repeat a function");
    assert_eq!((&repeated["count"], &repeated["effect"]), (&1.into(), &"left_out".into()));
    assert_eq!(repeated["calls"], calls(&functions[1], SAMPLE));
    assert_eq!(note(&report, "without a call")["count"], 1);
    let untimed = note(&report, "without a run time");
    assert_eq!(
        (&untimed["count"], &untimed["calls"]),
        (&1.into(), &calls(&functions[4], SAMPLE).into())
    );
    assert_eq!(untimed["first"], functions[4].name);
    let text = run(&format!("replay {} --dry-run", sample(Format::Azure2019).display()));
    text.success().stdout(predicate::str::contains("left out    1 rows that repeat a function"));
}

#[test]
fn options_that_a_worker_without_sockets_cannot_obey_are_refused() {
    let trace = sample(Format::Azure2019);
    for (options, name) in [
        ("--record=calls.csv", "--record"),
        ("--address=:50051", "--address"),
        ("-address=:50051", "--address"),
        ("--fleet=2", "--fleet"),
        ("--http=off", "--http"),
        ("--log-level=debug", "--log-level"),
        ("--start-answers=created", "--start-answers"),
        ("--tls-ca=ca.pem", "--tls-ca"),
        ("--ort-lib=libonnxruntime.so", "--ort-lib"),
        ("--cpus 4 --timeout 3", "--timeout"),
    ] {
        let mut command = assert_cmd::Command::from_std(hyperfake());
        command.arg("replay").arg(&trace).args(["--virtual", "--server", options]);
        let expected = format!("--server: found {name}, which has no effect here; expected --cold");
        command.assert().failure().stderr(predicate::str::contains(expected));
    }
}

#[test]
fn a_model_is_named_with_or_without_a_space() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, path) = (sample(Format::Record), folder.path().join("m.json"));
    let model = |function: &trace::Function| {
        let model = serde_json::json!({
            "kind": "constant", "runtime_ns": 7e6, "cpu_cores": 1.0, "ram_bytes": 1e8
        });
        (function.image.clone(), model)
    };
    let models: serde_json::Map<_, _> = workload(&trace).functions.iter().map(model).collect();
    fs::write(&path, serde_json::to_vec(&models).unwrap()).unwrap();
    for option in ["-m ", "-m", "--model=", "-model="] {
        let mut command = assert_cmd::Command::from_std(hyperfake());
        command.arg("replay").arg(&trace).args(["--virtual", "--json", "--server"]);
        let assert = command.arg(format!("{option}{}", path.display())).assert().success();
        let report: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
        assert_eq!(report["replayed"]["mean_run_time_ns"], 7e6, "{option}");
    }
    // Variables are meant for a server.
    let mut command = assert_cmd::Command::from_std(hyperfake());
    command.env("HYPERFAKE_MODEL", &path).env("HYPERFAKE_RUNTIME", "no such runtime");
    command.env("HYPERFAKE_SCENARIO", "no such file");
    let assert = command.arg("replay").arg(&trace).args(["--virtual", "--json"]).assert().success();
    let report: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_ne!(report["replayed"]["mean_run_time_ns"], 7e6);
    // An option that begins with the same letter names none.
    let own = json(&format!("{} --virtual --server -max-rpcs=1000000", trace.display()));
    assert_ne!(own["replayed"]["mean_run_time_ns"], 7e6);
}

/// The page has the program's own words; how long it took is another thing each time.
#[test]
fn the_page_of_traces_shows_what_a_replay_shows() {
    let mut command = assert_cmd::Command::from_std(hyperfake());
    let command = command.current_dir(repository(""));
    let assert = command.args(["replay", "traces/samples/azure2019", "--virtual"]).assert();
    let output = String::from_utf8(assert.success().get_output().stdout.clone()).unwrap();
    let page = fs::read_to_string(repository("docs/guide/traces.md")).unwrap();
    let (_, shown) = page.split_once("```text\ntrace ").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let shown = format!("trace {shown}");
    let lines = |text: &str| -> Vec<String> {
        let lines = text.trim_end().lines().map(|line| match line.starts_with("took ") {
            true => "took".to_owned(),
            false => line.to_owned(),
        });
        lines.collect()
    };
    assert_eq!(lines(&shown), lines(&output), "docs/guide/traces.md shows another output");
}

#[test]
fn the_time_of_a_column_is_refused_where_the_trace_says_it() {
    let trace = sample(Format::Azure2019);
    let error = refusal(&format!("{} --column 1s", trace.display()));
    assert!(error.contains("--column: it has no use with a trace of Azure 2019"), "{error}");
    // Of InVitro's folders, columns of a second are a sixtieth of the time.
    let trace = sample(Format::InVitro);
    let length = |options: &str| {
        let report = json(&format!("{} --dry-run {options}", trace.display()));
        report["length_s"].as_f64().unwrap()
    };
    assert_eq!(length(""), 60.0 * length("--column 1s"));
}

/// Of 2439 calls in 1440 minutes 1000 are in one minute, whose mean is 1 s, and the others take 0.1 s.
#[test]
fn run_times_of_huawei_2023_count_as_often_as_there_are_calls() {
    let folder = tempfile::tempdir().unwrap();
    let file = |metric: &str, name: &str, usual: &str, busy: &str| {
        let rows = (0..1440).map(|minute| {
            let number = if minute == 700 { busy } else { usual };
            format!("0,{},{number}\n", 60 * minute)
        });
        let text = "day,time,f\n".to_owned() + &rows.collect::<String>();
        fs::create_dir_all(folder.path().join(metric)).unwrap();
        fs::write(folder.path().join(metric).join(name), text).unwrap();
    };
    file("requests_minute", "day_000.csv", "1", "1000");
    file("function_delay_minute", "day_000.csv", "0.1", "1.0");
    let work = workload(folder.path());
    let run_time = work.functions[0].run_time.as_ref().unwrap();
    assert!((run_time.mean_ns / (1143.9e9 / 2439.0) - 1.0).abs() < 1e-9);
    let (levels, quantiles) = run_time.quantiles().unwrap();
    for (level, expected) in [(0.5, 1e8), (0.9, 1e9), (1.0, 1e9)] {
        let place = levels.iter().position(|found| *found == level).unwrap();
        assert!((quantiles[place] / expected - 1.0).abs() < 0.03, "{level}: {}", quantiles[place]);
    }

    // A second file of that day would make it two days' calls; one of a century is a mistake.
    file("requests_minute", "day_001.csv", "1", "1000");
    let path = folder.path().display().to_string();
    let error = refusal(&path);
    let expected =
        "day_001.csv: row 1, column time: found '0', expected a time that no row before has";
    assert!(error.contains(expected), "{error}");
    let far = "day,time,f\n0,3155760000,1\n";
    fs::write(folder.path().join("requests_minute/day_001.csv"), far).unwrap();
    let error = refusal(&path);
    assert!(error.contains("expected a time within three years of the first one"), "{error}");
}

#[test]
fn the_same_calls_twice_are_refused() {
    for format in [Format::Record, Format::Azure2021, Format::FaasNet] {
        let folder = tempfile::tempdir().unwrap();
        let (name, bytes) = files(&sample(format)).into_iter().next().unwrap();
        let name = name.file_name().unwrap().to_str().unwrap().to_owned();
        fs::write(folder.path().join(&name), &bytes).unwrap();
        let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
        compressed.write_all(&bytes).unwrap();
        fs::write(folder.path().join(name.clone() + ".gz"), compressed.finish().unwrap()).unwrap();
        let error = refusal(&folder.path().display().to_string());
        let expected = format!("{name}.gz: found the same calls as in ");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn calls_without_moments_or_with_impossible_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.csv");
    let columns = "function_image_tag,request_body_size,function_runtime,function_cpu_usage,\
                   function_ram_usage,active_function_calls_count";
    let row = "echo,10,1000000,5,1000,0";
    fs::write(&path, format!("{columns}\n{row}\n{row}\n")).unwrap();
    let error = refusal(&path.display().to_string());
    assert!(error.contains("calls.csv: the first line lacks the column 'timestamp'"), "{error}");
    let timed = format!("{columns},timestamp\n{row},1000000000\n{row},3000000000\n");
    fs::write(&path, timed).unwrap();
    assert_eq!(json(&format!("{} --dry-run", path.display()))["requested"], 2);
    // The last moment that a record can state is 584 years behind the first one.
    let path = folder.path().join("record.csv");
    let mut record = RowFile::open(Destination::new(&path, record::Format::Own).unwrap()).unwrap();
    let row = |arrival_unix_ns| Row {
        arrival_unix_ns,
        image: "a".into(),
        run_ns: Some(5),
        outcome: record::OK.into(),
        ..Row::default()
    };
    record.append([row(0), row(1), row(u64::MAX)].into_iter()).unwrap();
    record.close().unwrap();
    let error = refusal(&path.display().to_string());
    let expected =
        "record.csv, row 3: found a call at 18446744073709551615 ns, expected all within";
    assert!(error.contains(expected), "{error}");
}

fn workload(path: &Path) -> Arc<Workload> {
    let trace = trace::open(path, &Reading::default(), |_, _| {}).unwrap();
    Arc::new(Workload::new(trace, &Selection::default()).unwrap())
}

#[test]
fn days_are_read_as_far_as_they_are_needed_and_compressed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files(&sample(Format::Azure2019)) {
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::write(folder.path().join(name), &bytes).unwrap();
        let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
        compressed.write_all(&bytes).unwrap();
        let second = name.replace("d01", "d02") + ".gz";
        fs::write(folder.path().join(second), compressed.finish().unwrap()).unwrap();
    }
    let path = folder.path().display().to_string();
    let one = json(&format!("{} --dry-run", sample(Format::Azure2019).display()));
    let both = json(&format!("{path} --dry-run"));
    assert_eq!(both["requested"], 2 * one["requested"].as_u64().unwrap());
    assert_eq!(both["length_s"], 86_400.0 + one["length_s"].as_f64().unwrap());
    let second = json(&format!("{path} --dry-run --from 1d"));
    assert_eq!(second["requested"], one["requested"]);
    assert_eq!(note(&second, "repeat a function")["count"], 1);
    assert_eq!(note(&second, "days outside of --from and --for")["count"], 1);
}

#[test]
fn a_day_of_two_thousand_functions_keeps_its_counts_and_its_means() {
    let size = Size { functions: 2000, minutes: 1440, seed: 5 };
    let folder = tempfile::tempdir().unwrap();
    write(Format::Azure2019, size, folder.path()).unwrap();
    let work = workload(folder.path());
    let laws = functions(size);
    let by_name: BTreeMap<_, _> = laws.iter().map(|law| (&*law.name, law)).collect();
    let laws: Vec<_> = work.functions.iter().map(|function| by_name[&*function.name]).collect();

    // Each minute has exactly the calls of each function; those of a part of the day are enough.
    const MINUTE: u64 = 60_000_000_000;
    const MINUTES: usize = 120;
    let mut found = vec![0_u32; work.functions.len() * MINUTES];
    let mut offsets = [0_f64; 60];
    let part = work.arrivals().take_while(|call| call.at_ns < MINUTES as u64 * MINUTE);
    for call in part {
        found[call.function as usize * MINUTES + (call.at_ns / MINUTE) as usize] += 1;
        offsets[(call.at_ns % MINUTE / 1_000_000_000) as usize] += 1.0;
    }
    for (law, found) in laws.iter().zip(found.chunks(MINUTES)) {
        for (minute, found) in found.iter().enumerate() {
            assert_eq!(*found, law.calls(minute), "{} in minute {minute}", law.name);
        }
    }
    // Chi-square over the seconds of a minute, 59 degrees of freedom: beyond 98.3 once in a thousand.
    let expected = offsets.iter().sum::<f64>() / 60.0;
    let chi_square: f64 = offsets.iter().map(|found| (found - expected).powi(2) / expected).sum();
    assert!(chi_square < 98.3, "{chi_square}");

    // Each model's mean is the trace's `Average`, a whole number of milliseconds.
    let models = tempfile::tempdir().unwrap();
    let defaults = trace::models::Defaults { cpu_cores: 1.0, memory_bytes: 2e8 };
    let files = trace::models::write(&work, &defaults, models.path()).unwrap();
    let uri = files[0].display().to_string().parse().unwrap();
    let mut worst = 0_f64;
    let opened = JsonBackend.open_all(&uri).unwrap();
    assert_eq!(opened.len(), work.functions.len());
    let by_image: BTreeMap<_, _> =
        opened.iter().map(|model| (model.image.as_deref().unwrap(), &model.predictor)).collect();
    for (function, law) in work.functions.iter().zip(&laws) {
        let mut session = by_image[&*function.image].session().unwrap();
        let mean = session.predict(&Features::IDLE).unwrap().runtime_ns;
        let average = law.mean_ms().round().max(0.5) * 1e6;
        worst = worst.max((mean / average - 1.0).abs());
    }
    assert!(worst < 0.01, "a mean is {:.2} % off", 100.0 * worst);
}

fn rows(path: &Path) -> Vec<Row<'static>> {
    let mut reader = RowReader::open(path).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = reader.read().unwrap() {
        rows.push(row.into_owned());
    }
    rows
}

#[test]
fn in_virtual_time_every_call_is_made_at_its_moment_and_two_replays_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let trace = sample(Format::Azure2019);
    let replay = |name: &str, options: &str| {
        let record = folder.path().join(name);
        let line = format!("{} --virtual --record {} {options}", trace.display(), record.display());
        (json(&line), rows(&record))
    };
    let (report, first) = replay("a.csv", "");
    let replayed = &report["replayed"];
    let requested = report["requested"].as_u64().unwrap();
    assert_eq!(replayed["issued"], requested);
    assert_eq!(replayed["answered"], requested);
    assert_eq!(replayed["verdict"], "valid");
    assert_eq!(first.len() as u64, requested);
    // The same moments that the workload has.
    let work = workload(&trace);
    let mut expected: Vec<_> = work
        .arrivals()
        .map(|call| (call.at_ns, work.functions[call.function as usize].image.clone()))
        .collect();
    let begin = hyperfake_worker::clock::virtual_time::BEGINNING.as_nanos() as u64;
    let mut found: Vec<_> =
        first.iter().map(|row| (row.arrival_unix_ns - begin, row.image.to_string())).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let mean = first.iter().map(|row| row.planned_ns.unwrap() as f64).sum::<f64>();
    let mean = mean / first.len() as f64;
    let expected = report["requested_mean_run_time_ns"].as_f64().unwrap();
    // Of some hundred calls that are drawn.
    assert!((mean / expected - 1.0).abs() < 0.25, "{mean}, not {expected}");
    assert!((mean / replayed["mean_run_time_ns"].as_f64().unwrap() - 1.0).abs() < 1e-6);

    let (_, second) = replay("b.csv", "");
    assert_eq!(first, second);
    let (_, other) = replay("c.csv", "--seed 2");
    assert_ne!(first, other);
}

#[test]
fn in_virtual_time_an_instance_has_at_most_its_calls_and_ends_when_it_is_idle() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("calls.csv");
    let trace = sample(Format::Huawei2023);
    let line = format!(
        "{} --virtual --max-concurrency 1 --function-timeout 1m --record {} --server --cold-start=300ms",
        trace.display(),
        record.display()
    );
    let report = json(&line);
    let rows = rows(&record);
    let instances: std::collections::BTreeSet<_> = rows.iter().map(|row| &row.instance).collect();
    assert_eq!(report["replayed"]["instances"], instances.len());
    let cold = rows.iter().filter(|row| row.cold == Some(true)).count();
    assert_eq!(
        (report["replayed"]["cold_calls"].as_u64().unwrap(), cold),
        (cold as u64, instances.len())
    );
    let waits = rows.iter().filter(|row| row.cold == Some(true));
    assert!(waits.clone().all(|row| row.cold_start_ns == Some(300_000_000)));
    // No two calls overlap on an instance, and none waited for longer than the function's timeout.
    let mut by_instance = BTreeMap::<_, Vec<&Row<'_>>>::new();
    rows.iter().for_each(|row| by_instance.entry(&row.instance).or_default().push(row));
    for rows in by_instance.values_mut() {
        rows.sort_by_key(|row| row.arrival_unix_ns);
        for pair in rows.windows(2) {
            assert!(pair[1].arrival_unix_ns >= pair[0].end_unix_ns());
            assert!(pair[1].arrival_unix_ns - pair[0].end_unix_ns() <= 60_000_000_000);
        }
    }
}

#[tokio::test]
async fn in_real_time_the_calls_are_made_on_a_worker_that_serves_the_models() {
    let folder = tempfile::tempdir().unwrap();
    let trace = sample(Format::Record);
    let (models, record) = (folder.path().join("models"), folder.path().join("calls.csv"));
    let dry = format!("{} --dry-run --models-out {}", trace.display(), models.display());
    let dry = beside(move || json(&dry)).await;
    assert_eq!(dry["models"].as_array().unwrap().len(), 1);
    let options = format!("--models-dir {} --cold-start 200ms", models.display());
    let worker = TestWorker::start(&[], &options).await;
    let line = format!(
        "{} --for 3s --rate 20 --address {} --database-address {} --record {}",
        trace.display(),
        worker.app.address(),
        worker.database,
        record.display()
    );
    let report = beside(move || json(&line)).await;
    let requested = report["requested"].as_u64().unwrap();
    assert!(requested > 0);
    assert_eq!(report["replayed"]["answered"], requested, "{report}");
    assert_eq!(report["replayed"]["verdict"], "valid");
    let rows = rows(&record);
    assert_eq!(rows.len() as u64, requested);
    assert!(rows.iter().all(|row| row.image.starts_with("sample-") && row.succeeded()));
    // Those that found no instance waited until one was started for them.
    let waits = rows.iter().filter_map(|row| row.cold_start_ns.filter(|wait| *wait > 0));
    assert_eq!(report["replayed"]["cold_calls"], waits.clone().count());
    assert!(waits.max() >= Some(200_000_000), "{report}");
    worker.is_idle().await;
}

#[tokio::test]
async fn through_a_leaf_functions_are_registered_in_etcd_with_their_memory() {
    let folder = tempfile::tempdir().unwrap();
    let trace = sample(Format::Record);
    let models = folder.path().join("models");
    let dry = format!("{} --dry-run --models-out {}", trace.display(), models.display());
    beside(move || json(&dry)).await;
    let options = format!("--models-dir {} --etcd-listen 127.0.0.1:0", models.display());
    let worker = TestWorker::start(&[], &options).await;
    let leaf = SmallLeaf::of(&worker).await;
    let line = format!(
        "{} --for 2s --rate 20 --through {} --method a.B/C --etcd-endpoint {} --ram 100MB",
        trace.display(),
        leaf.address,
        worker.app.etcd_address().unwrap()
    );
    let report = beside(move || json(&line)).await;
    assert_eq!(report["replayed"]["answered"], report["requested"], "{report}");
}

#[test]
fn a_day_of_azure_2019_that_is_there_twice_counts_once_and_one_in_parts_counts_whole() {
    let folder = tempfile::tempdir().unwrap();
    let names = "HashOwner,HashApp,HashFunction,Trigger,1,2,3\n";
    let write = |path: &str, row: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{names}{row}\n")).unwrap();
    };
    let file = |day: &str| format!("invocations_per_function_md.anon.{day}.csv");
    write(&file("d01"), "o,a,f,http,1,2,9");
    write(&file("d02"), "o,a,f,http,3,0,0");
    let requested = || {
        let report = json(&format!("{} --dry-run --run-time 1ms", folder.path().display()));
        (report["requested"].as_u64().unwrap(), report["notes"].to_string())
    };
    assert_eq!(requested().0, 15);
    write(&format!("old/{}", file("d01")), "o,a,f,http,1,2,9");
    write(&file("d1"), "o,a,f,http,1,2,9");
    let (calls, notes) = requested();
    assert_eq!(calls, 15);
    assert!(notes.contains("rows that repeat a function"), "{notes}");
    write(&file("d01.part2"), "o,a,other,http,5,0,0");
    assert_eq!(requested().0, 20);
    // A minute that is not replayed may have any number of calls, and a name may have none.
    write(&file("d02.part2"), "o,a,huge,http,4294967295,0,0");
    let line =
        format!("{} --dry-run --run-time 1ms --for 24h --only f,huge", folder.path().display());
    let report = json(&line);
    assert_eq!(report["requested"], 12);
    assert!(
        report["notes"].to_string().contains("names of --only that nothing of what was read has")
    );
}

#[test]
fn a_call_of_an_hour_takes_an_hour_of_virtual_time() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("calls.csv");
    fs::write(&trace, "app,func,end_timestamp,duration\na,f,4000,3600\nb,g,4000,1\n").unwrap();
    // By the name of the function and by that of its application.
    for only in ["f", "a", "a/f"] {
        let report = json(&format!("{} --virtual --only {only}", trace.display()));
        assert_eq!(report["replayed"]["mean_run_time_ns"], 3.6e12, "{only}: {report}");
    }
}

#[test]
fn what_is_no_trace_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert!(refusal(&path("nowhere").display().to_string()).contains("there is no such file"));
    let empty = path("empty");
    fs::create_dir(&empty).unwrap();
    // A named pipe in the folder is skipped; reading it would wait for ever.
    #[cfg(unix)]
    std::process::Command::new("mkfifo").arg(empty.join("pipe.csv")).status().unwrap();
    assert!(refusal(&empty.display().to_string()).contains("found no trace: expected"));
    let invocations = "HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,http,1,x\n";
    fs::write(path("bad.csv"), invocations).unwrap();
    let error = refusal(&path("bad.csv").display().to_string());
    assert!(
        error.contains("bad.csv: row 1, column 2: found 'x', expected a number of calls"),
        "{error}"
    );
    let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
    let long: String = (0..2000).map(|row| format!("o,a,f{},http,{row},1\n", row * 7919)).collect();
    compressed
        .write_all(format!("HashOwner,HashApp,HashFunction,Trigger,1,2\n{long}").as_bytes())
        .unwrap();
    let compressed = compressed.finish().unwrap();
    fs::write(path("cut.csv.gz"), &compressed[..compressed.len() / 2]).unwrap();
    let error = refusal(&path("cut.csv.gz").display().to_string());
    assert!(error.contains("cut.csv.gz: row ") && error.contains("it was cut off"), "{error}");
    let error = refusal(&repository("traces/samples").display().to_string());
    assert!(error.contains("found files of") && error.contains("name one of them"), "{error}");
    let trace = sample(Format::Azure2019).display().to_string();
    let memory = format!("{trace}/app_memory_percentiles.anon.d01.csv");
    assert!(refusal(&memory).contains("found no calls: of Azure 2019"));
    let error = refusal(&format!("{trace} --from 2h"));
    assert!(error.contains("--from: found 7200s, but the trace ends at"), "{error}");
    let error = refusal(&format!("{trace} --only nothing"));
    assert!(error.contains("--only: found 'nothing', but nothing of what was read has this name"));
    let rows = fs::read_to_string(repository("traces/samples/record/calls.csv")).unwrap();
    let mut rows = rows.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let (names, mut row) = (rows.next().unwrap(), rows.next().unwrap());
    let cpu = names.iter().position(|name| *name == "cpu_cores").unwrap();
    for impossible in ["-1", "inf", "1e300"] {
        row[cpu] = impossible;
        fs::write(path("cpu.csv"), format!("{}\n{}\n", names.join(","), row.join(","))).unwrap();
        let error = refusal(&path("cpu.csv").display().to_string());
        assert!(error.contains("cpu.csv, row 1: cpu_cores: found "), "{impossible}: {error}");
    }
    let many = path("many");
    fs::create_dir(&many).unwrap();
    let calls = "HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,http,4294967295,1\n";
    fs::write(many.join("invocations_per_function_md.anon.d01.csv"), calls).unwrap();
    let error = refusal(&format!("{} --run-time 1ms", many.display()));
    assert!(error.contains("found 4294967295 calls in one minute"), "{error}");
    let error = refusal(&format!("{trace} --function x"));
    assert!(error.contains("--function: it has no use without --through"), "{error}");
}
