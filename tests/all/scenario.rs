//! Scenario files, their schema, their page and their commands.

use std::{fs, time::Duration};

use hyperfake_worker::{
    app::App,
    scenario::{self, SCENARIOS, Scenario, Source},
};

use tonic::Code;

use crate::{
    program::{Served, hyperfake},
    support::{TestWorker, code, config, constant, repository},
};

const SCHEMA: &str = "docs/scenario.schema.json";
const PAGE: &str = "docs/guide/scenarios.md";
/// Set this, and the test writes the schema instead of comparing it.
const UPDATE: &str = "HYPERFAKE_TEST_UPDATE_DOCS";

#[test]
fn the_schema_of_scenario_files_is_that_of_their_types() {
    let expected = format!("{:#}\n", scenario::schema());
    if std::env::var_os(UPDATE).is_some() {
        return fs::write(repository(SCHEMA), expected).unwrap();
    }
    let schema = fs::read_to_string(repository(SCHEMA)).unwrap();
    assert!(
        schema == expected,
        "{SCHEMA} is stale; write it with '{UPDATE}=1 cargo test --workspace --test all the_schema_of'"
    );
}

/// The blocks of a page in this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let page = fs::read_to_string(repository(page)).unwrap();
    let begin = format!("```{language}\n");
    let blocks = page.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(str::to_owned).collect()
}

#[test]
fn the_file_of_the_guide_is_a_scenario() {
    let blocks = blocks(PAGE, "yaml");
    let [file] = &*blocks else { panic!("{blocks:?}") };
    assert!(file.lines().count() <= 30);
    let scenario = Scenario::parse(file).unwrap();
    assert_eq!(scenario.seed(), Some(42));
    let names: Vec<_> = scenario.faults().iter().map(|fault| fault.name()).collect();
    assert_eq!(names, ["flaky", "slow minute", "bad node", "bad start", "on demand"]);
}

/// What is printed in full is a scenario again, and is what the schema says.
#[test]
fn scenarios_are_printed_as_scenarios_that_the_schema_allows() {
    let schema = jsonschema::validator_for(&scenario::schema()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let guide = folder.path().join("guide.yaml");
    fs::write(&guide, &blocks(PAGE, "yaml")[0]).unwrap();
    let presets = SCENARIOS.iter().map(|preset| preset.name.into());
    for named in presets.chain([guide]) {
        let printed = Source::from(&*named).effective().unwrap();
        let errors: Vec<_> = schema.iter_errors(&printed).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{named:?}: {errors:?}\n{printed:#}");
        let again = folder.path().join("again.json");
        fs::write(&again, printed.to_string()).unwrap();
        assert_eq!(Source::from(&*again).effective().unwrap(), printed);
    }
    for bad in [r#"{"version": 1, "fault": []}"#, r#"{"version": 1, "worker": {"cpus": "many"}}"#] {
        assert!(!schema.is_valid(&serde_json::from_str(bad).unwrap()), "{bad}");
    }
}

fn run(words: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = hyperfake();
    command.current_dir(repository(""));
    assert_cmd::Command::from_std(command).args(words).timeout(Duration::from_secs(60)).assert()
}

#[test]
fn check_shows_what_a_scenario_states_or_where_it_is_wrong() {
    run(&["scenario", "check", "chaos"])
        .success()
        .stdout(predicates::str::contains("calls take p50 50.000ms, p90 260.429ms"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.yaml");
    let name = path.display().to_string();
    fs::write(&path, "version: 1\ndefaults:\n  cold_strat: 1s\n").unwrap();
    let expected = format!(
        "error: {name}:3:3: found the key 'cold_strat', which is not known; did you mean 'cold_start'?\n"
    );
    run(&["scenario", "check", &name]).failure().stderr(expected);
    fs::write(&path, b"version: 1\n# \xff").unwrap();
    run(&["scenario", "check", &name])
        .failure()
        .stderr(predicates::str::contains(":2:3: found a byte that is not UTF-8"));
    fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    run(&["scenario", "check", &name])
        .failure()
        .stderr(predicates::str::contains("has 1048577 bytes, and at most 1048576 are read"));
    run(&["scenario", "check", "choas"]).failure().stderr(
        "error: choas: there is no such file, and the presets are plain, realistic, chaos\n",
    );
    run(&["scenario", "check", "src"]).failure();
    run(&["server", "--scenario", "choas"])
        .failure()
        .stderr(predicates::str::starts_with("error: --scenario: choas: there is no such file"));
}

#[test]
fn print_schema_and_presets_show_what_there_is() {
    run(&["scenario", "print", "realistic"])
        .success()
        .stdout(predicates::str::contains("\"p50\": \"541ms\""));
    let source = run(&["scenario", "print", "realistic", "--source"]).success();
    let source = String::from_utf8(source.get_output().stdout.clone()).unwrap();
    let preset = SCENARIOS.iter().find(|preset| preset.name == "realistic").unwrap();
    assert_eq!(source, preset.text);
    let schema = run(&["scenario", "schema"]).success();
    let schema = String::from_utf8(schema.get_output().stdout.clone()).unwrap();
    assert_eq!(schema, fs::read_to_string(repository(SCHEMA)).unwrap());
    let presets = run(&["scenario", "presets"]).success();
    let presets = String::from_utf8(presets.get_output().stdout.clone()).unwrap();
    for word in ["chaos", "huawei-python3", "704 ms", "arXiv 2410.06145", "Apache-2.0"] {
        assert!(presets.contains(word), "{word} is not in\n{presets}");
    }
    let json = run(&["scenario", "presets", "--json"]).success();
    let json: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    assert!(json["cold_starts"].as_array().unwrap().len() > 30);
}

/// Measured values, by a path that is relative to the scenario.
#[test]
fn a_column_of_a_file_is_a_distribution() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("s.yaml");
    let check = |distribution: &str| {
        let text = format!("version: 1\ndefaults:\n  run_time: {distribution}\n");
        fs::write(&scenario, text).unwrap();
        run(&["scenario", "check", scenario.to_str().unwrap()])
    };
    let calls = folder.path().join("calls.csv");
    fs::write(&calls, "run_ns,note\n1000000,a\n,\"refused, at once\"\n3000000,b\n").unwrap();
    check("{file: calls.csv, column: run_ns}")
        .success()
        .stdout(predicates::str::contains("p50 3.000ms, p90 3.000ms, p99 3.000ms, mean 2.000ms"));
    for (distribution, expected) in [
        ("{file: none.csv, column: run_ns}", ":3:20: "),
        ("{file: calls.csv, column: run_s}", ":3:39: "),
        ("{file: calls.csv, column: note}", ":3:39: found no unit of the column 'note'"),
        ("{file: calls.csv, column: note, unit: ms}", "calls.csv:2: found 'a', expected a number"),
        ("{file: calls.csv}", "3:13: expected 'file' and 'column'"),
    ] {
        check(distribution).failure().stderr(predicates::str::contains(expected));
    }
}

#[tokio::test]
async fn a_server_obeys_a_scenario_and_options_count_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.yaml");
    fs::write(&path, "version: 1\nseed: 7\nworker: {cpus: 3, memory: 5GiB}\n").unwrap();
    let app = async |rest: &str| {
        let line = "--address 127.0.0.1:0 --database-type embedded \
                    --database-address http://127.0.0.1:0";
        let line = format!("{line} --scenario {} {rest}", path.display());
        App::start(config(&line)).await.unwrap()
    };
    let simulated = |app: &App| {
        let config = app.worker().config();
        (config.cpus, config.memory_bytes)
    };
    let stated = app("").await;
    assert_eq!(simulated(&stated), (3, 5 << 30));
    assert!(stated.summary().contains("simulating 3 CPUs"), "{}", stated.summary());
    let chosen = app("--cpus 2 --memory 1GiB").await;
    assert_eq!(simulated(&chosen), (2, 1 << 30));

    // The same seed gives the same id of the first function.
    let models = [("image", &*constant(Duration::ZERO))];
    let first = async |seed: &str| {
        let options = format!("--scenario {} {seed}", path.display());
        TestWorker::start(&models, &options).await.register("image").await
    };
    let drawn = first("").await;
    assert_eq!(first("").await, drawn);
    assert_eq!(first("--seed 7").await, drawn);
    assert_ne!(first("--seed 8").await, drawn);
}

/// Writes the sections of a scenario file.
fn write(path: &std::path::Path, sections: &str) {
    fs::write(path, format!("version: 1\n{sections}\n")).unwrap();
}

#[tokio::test]
async fn a_scenario_that_is_read_again_replaces_the_one_before_and_one_with_an_error_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.yaml");
    write(&path, "faults: [{name: down, status: UNAVAILABLE}]");
    let options = format!("--scenario {}", path.display());
    let (worker, function, _) =
        TestWorker::with_instance(&constant(Duration::ZERO), &options).await;
    let call = || worker.call(&function, b"");
    assert_eq!(code(call().await), Code::Unavailable);
    write(&path, "faults: [{name: down, status: ABORTED, percent: 101}]");
    let error = worker.app.reload_scenario().unwrap_err().to_string();
    let expected = format!("--scenario: {}:2:49: found 101, expected", path.display());
    assert!(error.starts_with(&expected), "{error}");
    assert_eq!(code(call().await), Code::Unavailable);
    write(&path, "faults: [{name: down, status: ABORTED, percent: 100}]");
    assert!(worker.app.reload_scenario().unwrap());
    assert_eq!(code(call().await), Code::Aborted);
    write(&path, "");
    assert!(worker.app.reload_scenario().unwrap());
    call().await.unwrap();
}

#[test]
fn sighup_reads_the_scenario_again_and_the_log_says_in_one_line_when_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.yaml");
    let log = folder.path().join("log");
    write(&path, "");
    let options = format!("--scenario {} --log-file {}", path.display(), log.display());
    let server = Served::start(&options);
    assert!(server.summary.contains(&format!("scenario {}", path.display())), "{}", server.summary);
    let until_logged = |text: &str| {
        while !fs::read_to_string(&log).unwrap_or_default().contains(text) {
            std::thread::yield_now();
        }
    };
    server.signal("-HUP");
    until_logged("reloaded the scenario");
    write(&path, "seed: many");
    server.signal("-HUP");
    until_logged("the scenario stays as it was");
    let logged = fs::read_to_string(&log).unwrap();
    let expected = format!("{}:2:7: found 'many', expected a whole number", path.display());
    let lines: Vec<_> = logged.lines().filter(|line| line.contains(&expected)).collect();
    assert!(lines.len() == 1 && lines[0].contains("the scenario stays"), "{logged}");
    server.signal("-TERM");
    assert_eq!(server.end().0, Some(0));

    // Without a log file as well, SIGHUP does not end a server with a scenario file.
    write(&path, "");
    let server = Served::start(&format!("--scenario {}", path.display()));
    server.signal("-HUP");
    server.signal("-TERM");
    let (code, log) = server.end();
    assert!(code == Some(0) && log.contains("reloaded the scenario"), "{code:?}: {log}");
}
