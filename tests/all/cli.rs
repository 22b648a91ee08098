//! The command line, run as a user runs it.

use std::{path::Path, time::Duration};

use predicates::prelude::*;

use crate::{
    program::{Served, hyperfake},
    support::{constant, deaf_port, repository},
};

fn run(line: &str) -> assert_cmd::assert::Assert {
    assert_cmd::Command::from_std(hyperfake()).args(line.split_whitespace()).assert()
}

/// Runs `hyperfake call` against the server.
fn call(server: &Served, line: &str) -> assert_cmd::assert::Assert {
    let Served { address, database, .. } = server;
    run(&format!("call {line} --address {address} --database-address {database}"))
}

fn model(folder: &Path, name: &str, json: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, json).unwrap();
    path.display().to_string()
}

#[test]
fn the_server_shows_what_it_loaded_and_a_call_shows_what_happened() {
    let server = Served::start("--runtime instant");
    for expected in
        ["hyperfaas-echo", "./models/hyperfaas-echo.onnx", "ns, cores, bytes", "cores, 8.0"]
    {
        assert!(server.summary.contains(expected), "{expected}: {}", server.summary);
    }
    let shown = predicate::str::is_match(
        r"(?s)function .*instance .*cold start .*predicted .*ms.*observed .*ms.*difference .*cpu .*ram .*MB",
    );
    call(&server, "hyperfaas-echo --data hello").success().stdout(shown.unwrap());
    call(&server, "hyperfaas-echo -n 20 --concurrency 4")
        .success()
        .stdout(predicate::str::contains("p99").and(predicate::str::contains("20 in")));
    let output = call(&server, "hyperfaas-echo -n 20 --json").success().get_output().stdout.clone();
    let json: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(json["calls"], 20);
    assert!(json["difference_ns"]["p50"].as_f64().unwrap() > 0.0, "{json}");
    assert_eq!(json["instance_id"].as_str().unwrap().len(), 12);
    // The cold start is the time that Start takes, and what a call still waits when the worker
    // answers earlier: how much that is depends on how soon the call comes.
    for (options, least) in [("", 200_000_000), ("--start-answers created", 1)] {
        let server = Served::start(&format!("--cold-start 200ms {options}"));
        let output = call(&server, "hyperfaas-echo --json").success().get_output().stdout.clone();
        let json: serde_json::Value = serde_json::from_slice(&output).unwrap();
        let cold_start = json["cold_start_ns"].as_u64().unwrap();
        assert!(cold_start >= least, "{options}: {json}");
        let Served { address, database, .. } = &server;
        for warm_up in ["", "--no-warm-up"] {
            let output = run(&format!(
                "load --rate 10 --duration 500ms --json {warm_up} --address {address} \
                 --database-address {database}"
            ));
            let json: serde_json::Value =
                serde_json::from_slice(&output.get_output().stdout).unwrap();
            let cold_start = json["functions"][0]["cold_start_ns"].as_u64().unwrap();
            assert!(cold_start >= least, "{options}: {json}");
        }
    }
    call(&server, "unknown").failure().stderr(predicate::str::contains("hyperfaas-echo"));
}

#[test]
fn a_signal_lets_the_calls_finish_and_the_exit_code_is_zero() {
    let folder = tempfile::tempdir().unwrap();
    let slow = model(folder.path(), "slow.json", &constant(Duration::from_millis(1500)));
    for signal in ["-TERM", "-INT"] {
        let server = Served::start(&format!("--runtime instant -m {slow}"));
        std::thread::scope(|scope| {
            let call = scope.spawn(|| call(&server, "slow"));
            server.wait_until_busy();
            server.signal(signal);
            call.join().unwrap().success();
        });
        let (code, log) = server.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("stopped"), "{log}");
    }
}

#[test]
fn a_second_signal_ends_the_grace_period() {
    let folder = tempfile::tempdir().unwrap();
    let slow = model(folder.path(), "slow.json", &constant(Duration::from_secs(600)));
    let server = Served::start(&format!("--runtime instant --shutdown-grace 1h -m {slow}"));
    std::thread::scope(|scope| {
        let call = scope.spawn(|| call(&server, "slow"));
        server.wait_until_busy();
        server.signal("-TERM");
        // Two signals at once are one.
        std::thread::sleep(Duration::from_millis(200));
        server.signal("-TERM");
        call.join().unwrap().failure();
    });
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn the_log_has_the_given_format_level_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("worker.log");
    let options = format!("--log-format json --log-file {}", file.display());
    let server = Served::start(&options);
    server.signal("-TERM");
    let (_, stderr) = server.end();
    assert_eq!(stderr, "");
    let log = std::fs::read_to_string(&file).unwrap();
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(log.contains("stopped"), "{log}");

    let server = Served::start("--log-level error");
    server.signal("-TERM");
    assert_eq!(server.end(), (Some(0), String::new()));

    let missing = folder.path().join("none").join("worker.log");
    run(&format!("server --log-file {}", missing.display()))
        .failure()
        .stderr(predicate::str::contains("--log-file"));
}

#[test]
fn options_override_environment_variables_and_variables_override_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (
        model(folder.path(), "one.json", &constant(Duration::ZERO)),
        model(folder.path(), "two.json", &constant(Duration::ZERO)),
    );
    let mut command = hyperfake();
    command.env("HYPERFAKE_MODEL", format!("{one} first:1; {two}")).env("HYPERFAKE_CPUS", "7");
    let server = Served::start_as(command, "--memory 3GB");
    for expected in ["first:1", "two", "7 CPUs", "3 GB"] {
        assert!(server.summary.contains(expected), "{expected}: {}", server.summary);
    }
    drop(server);
    let mut command = hyperfake();
    command.env("HYPERFAKE_CPUS", "7").env("HYPERFAKE_AUTO_REMOVE", "yes");
    let server = Served::start_as(command, "--cpus 5");
    assert!(server.summary.contains("5 CPUs"), "{}", server.summary);
    run("server --runtime podman").failure().stderr(predicate::str::contains("firecracker"));
    run("server --max-partial-size 1MiB")
        .failure()
        .stderr(predicate::str::contains("--max-partial-size: found 1.0 MiB, expected at least"));
}

#[test]
fn load_keeps_its_schedule_and_reports_the_timing_error() {
    let folder = tempfile::tempdir().unwrap();
    let fast = model(folder.path(), "fast.json", &constant(Duration::from_millis(2)));
    let server = Served::start(&format!("--runtime instant -m {fast} -m {fast} other"));
    let Served { address, database, .. } = &server;
    let csv = folder.path().join("calls.csv");
    let line = format!(
        "load --functions fast,other --rate 200 --duration 1s --data-bytes 10 --poisson --seed 7 \
         --connections 2 --csv {} --json --address {address} --database-address {database}",
        csv.display()
    );
    let output = run(&line).get_output().stdout.clone();
    let json: serde_json::Value = serde_json::from_slice(&output).unwrap();
    let answered: u64 =
        (0..2).map(|index| json["functions"][index]["answered"].as_u64().unwrap()).sum();
    assert!((100..300).contains(&answered), "{json}");
    assert!(json["functions"][1]["latency_ns"]["p50"].as_u64().unwrap() >= 2_000_000, "{json}");
    assert!(json["functions"][1]["timing_error_ns"]["p50"].as_u64().unwrap() > 0, "{json}");
    let rows = std::fs::read_to_string(&csv).unwrap();
    assert_eq!(rows.lines().count() as u64, answered + 1);
    assert!(rows.lines().nth(1).unwrap().ends_with(",2000000,0,Ok"), "{rows}");

    // A worker that takes one call at a time refuses the others, and the report says so.
    let slow = model(folder.path(), "slow.json", &constant(Duration::from_millis(300)));
    let server = Served::start(&format!("--runtime instant -m {slow} --max-rpcs 1"));
    let Served { address, database, .. } = &server;
    run(&format!(
        "load --functions slow --rate 50 --duration 500ms --no-warm-up --address {address} \
         --database-address {database}"
    ))
    .failure()
    .stdout(predicate::str::contains("x ResourceExhausted"));
}

#[test]
fn predict_prints_one_prediction_as_text_and_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"kind": "linear",
        "runtime_ns": {"intercept": 1000000, "request_bytes": 10, "function_instances": 100},
        "cpu_cores": {"active_calls": 0.5, "worker_cpu_cores": 0.25},
        "ram_bytes": {"worker_ram_bytes": 2}}"#;
    let path = model(folder.path(), "linear.json", json);
    let below = model(folder.path(), "below.json", &json.replace("1000000", "-1000"));
    run(&format!("predict {path}"))
        .success()
        .stdout(predicate::str::contains("1.0001 ms").or(predicate::str::contains("1000100 ns")));
    let line = format!(
        "predict {path} --request-bytes 5 --function-instances 2 --active-calls 3 --worker-cpu 4 \
         --worker-ram 6 --json"
    );
    let output = run(&line).success().get_output().stdout.clone();
    let json: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(json["runtime_ns"], 1_000_250);
    assert_eq!(json["cpu_cores"], 2.5);
    assert_eq!(json["ram_bytes"], 12);
    assert_eq!(json["features"]["worker_cpu_cores"], 4.0);
    for impossible in ["--request-bytes -1e9", "--worker-cpu nan", "--worker-ram inf"] {
        run(&format!("predict {path} {impossible}"))
            .failure()
            .stderr(predicate::str::contains("expected a number from 0 on"));
    }
    run(&format!("predict {below}"))
        .success()
        .stdout(predicate::str::contains("runtime_ns was negative"));
    run(&format!("predict {path} --max-runtime 1us"))
        .success()
        .stdout(predicate::str::contains("runtime_ns was too large"));
    run("predict nowhere.onnx").failure().stderr(predicate::str::contains("nowhere.onnx"));
    run("predict models/hyperfaas-echo.onnx").success().stdout(predicate::str::contains("ms"));
}

#[test]
fn predict_shows_the_quantiles_of_a_model_that_knows_distributions() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"kind": "quantiles", "levels": [0.5, 0.9, 0.99],
        "runtime_ns": [[1e6, 2e6, 9e6]], "cpu_cores": 0.5}"#;
    let path = model(folder.path(), "spread.json", json);
    run(&format!("predict {path}")).success().stdout(
        predicate::str::contains("runtime  mean 1.393 ms")
            .and(predicate::str::contains("p50      1 ms, 0.50 cores, 0 B"))
            .and(predicate::str::contains("p90      2 ms"))
            .and(predicate::str::contains("p99      9 ms")),
    );
    run(&format!("predict {path} --max-runtime 5ms"))
        .success()
        .stdout(predicate::str::contains("corrected: runtime_ns was too large at p99"));
    let output = run(&format!("predict {path} --json")).success().get_output().stdout.clone();
    let json: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(json["quantiles"][1]["level"], 0.9);
    assert_eq!(json["quantiles"][1]["runtime_ns"], 2_000_000);
    let output = run(&format!("models -m {path} --json")).success().get_output().stdout.clone();
    let json: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(json[0]["knows_distributions"], true);
    run(&format!("models -m {path}"))
        .success()
        .stdout(predicate::str::contains("drawn, with the mean"));
    run(&format!("models check {path}"))
        .success()
        .stdout(predicate::str::contains("from distributions with these means"));
}

#[test]
fn predict_lists_the_images_of_a_file_that_has_several() {
    let folder = tempfile::tempdir().unwrap();
    let hyperfaas = r#"{"a:1": {"image_tag": "a:1", "runtime_coeffs": [0, 0, 0, 0, 0, 7],
        "cpu_coeffs": [0, 0, 0, 0, 0, 1], "ram_coeffs": [0, 0, 0, 0, 0, 5], "sample_count": 3,
        "runtime_r2": 0.9, "cpu_r2": 0.9, "ram_r2": 0.9},
        "b:1": {"kind": "constant", "runtime_ns": 1, "cpu_cores": 1, "ram_bytes": 1}}"#;
    let path = model(folder.path(), "both.json", hyperfaas);
    run(&format!("predict {path}"))
        .failure()
        .stderr(predicate::str::contains("a:1").and(predicate::str::contains("#image")));
    run(&format!("predict {path}#a:1")).success().stdout(predicate::str::contains("7 ms"));
}

#[test]
fn models_lists_the_models_and_check_reports_problems() {
    run("models").success().stdout(predicate::str::contains("hyperfaas-bfs-json.onnx"));
    let output = run("models --json -m models/hyperfaas-echo.onnx img:2").success();
    let json: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(json[0]["image"], "img:2");
    assert_eq!(json[0]["inputs"][0], "request_bytes");
    run("models -m nowhere.onnx").failure().stderr(predicate::str::contains("nowhere.onnx"));
    // As in a folder without ./models.
    run("models --models-dir nowhere").failure().stderr(predicate::str::contains(
        "nowhere: cannot search the folder for models; name models with -m, or another folder with",
    ));

    let folder = tempfile::tempdir().unwrap();
    let good = model(folder.path(), "good.json", &constant(Duration::from_millis(3)));
    let negative = r#"{"kind": "linear", "runtime_ns": {"intercept": -1}, "cpu_cores": {},
        "ram_bytes": {}}"#;
    let bad = model(folder.path(), "bad.json", negative);
    run(&format!("models check models/hyperfaas-echo.onnx {good}"))
        .success()
        .stdout(predicate::str::contains("tract").and(predicate::str::contains("3 ms")));
    run(&format!("models check {good} {bad}"))
        .failure()
        .stdout(predicate::str::contains("PROBLEM").and(predicate::str::contains("negative")));
    let output = run(&format!("models check --json {good} {bad} nowhere.onnx")).failure();
    let json: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(json[0]["problems"], serde_json::json!([]));
    assert!(json[0]["models"][0]["backends"][0]["ns_per_prediction"].as_f64().unwrap() > 0.0);
    assert_ne!(json[1]["problems"], serde_json::json!([]));
    assert!(json[2]["problems"][0].as_str().unwrap().contains("nowhere.onnx"));
}

#[test]
fn a_worker_warns_at_its_end_when_sleeps_ended_later_than_the_threshold() {
    for (threshold, expected) in [("1ns", true), ("1h", false)] {
        let folder = tempfile::tempdir().unwrap();
        let path = model(folder.path(), "image.json", &constant(Duration::from_millis(1)));
        let line = format!("-m {path} image --runtime instant --lateness-warn {threshold}");
        let served = Served::start(&line);
        call(&served, "image -n 3").success();
        served.signal("-TERM");
        let (code, log) = served.end();
        assert_eq!(code, Some(0));
        assert!(log.contains("stopped; how late sleeps ended sleeps=3"), "{log}");
        assert_eq!(log.contains("sleeps ended late"), expected, "{threshold}: {log}");
    }
}

#[test]
fn onnx_engine_chooses_the_backend_of_onnx_models() {
    for (engine, expected) in [("auto", "dense"), ("dense", "dense"), ("tract", "tract")] {
        let line = format!("models --json -m models/hyperfaas-echo.onnx --onnx-engine {engine}");
        let output = run(&line).success();
        let json: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
        assert_eq!(json[0]["backend"], expected);
    }
}

#[test]
fn ort_lib_is_the_only_place_that_is_searched_for_onnx_runtime() {
    let output = run("doctor --json --ort-lib README.md").success();
    let json: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let found = &json["onnx_runtime"];
    assert_eq!(found["tried"].as_array().unwrap().len(), 1, "{found}");
    assert!(found["tried"][0].as_str().unwrap().contains("README.md"), "{found}");
}

#[test]
fn plugins_in_the_folder_are_loaded_only_with_allow_plugins() {
    let source = repository("plugins/examples/queueing/queueing.c");
    let plugin = hyperfake_plugin_fixtures::c(&source);
    // Below folders that only root and this user can write to, as this repository's are expected to be.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::copy(plugin.path(), folder.path().join("libqueueing.so")).unwrap();
    let line = format!("models --models-dir {}", folder.path().display());
    run(&line).failure().stderr(predicate::str::contains("found no model"));
    run(&format!("{line} --allow-plugins")).success().stdout(predicate::str::contains("plugin"));
}

#[test]
fn a_folder_to_which_others_may_add_files_offers_no_plugins() {
    use std::os::unix::fs::PermissionsExt;
    let source = repository("plugins/examples/queueing/queueing.c");
    let plugin = hyperfake_plugin_fixtures::c(&source);
    let folder = plugin.folder();
    let echo = repository("models/hyperfaas-echo.onnx");
    std::fs::copy(echo, folder.join("hyperfaas-echo.onnx")).unwrap();
    // Sticky, as the system's folder for temporary files above it.
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let line = format!("models --allow-plugins --models-dir {}", folder.display());
    let expected = format!(
        "error: --models-dir: {}: no plugin of this folder is loaded, because others could add \
         theirs: '{}' has mode 1777, so that others can write to it: expected no more than 0755; \
         change that, or name each library with -m instead of --allow-plugins\n",
        folder.display(),
        folder.canonicalize().unwrap().display()
    );
    run(&line).failure().stderr(expected);
    let listed = run(&format!("{line} --skip-bad-models")).success();
    listed.stdout(predicate::str::contains("echo").and(predicate::str::contains("plugin").not()));
    run(&format!("models -m {}", plugin.path().display())).success();
    std::fs::remove_file(plugin.path()).unwrap();
    run(&line).success();
}

#[test]
fn doctor_reports_onnx_runtime_cores_and_lateness() {
    run("doctor").success().stdout(
        predicate::str::contains("ONNX Runtime").and(predicate::str::contains("bare thread")),
    );
    let output = run("doctor --json").success();
    let json: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(json["clock_early"], 0);
    for way in ["clock_lateness", "thread_sleep_lateness", "tokio_sleep_lateness"] {
        assert!(json[way]["median_ns"].as_f64().unwrap() > 0.0, "{way}: {json}");
    }
    assert!(json["cores"].as_u64().unwrap() > 0);
}

#[test]
fn help_version_and_completions_are_printed() {
    run("--version").success().stdout(
        predicate::str::is_match(r"^hyperfake \d+\.\d+\.\d+ \(([0-9a-f]{12}|unknown commit)\)\n$")
            .unwrap(),
    );
    run("server --help").success().stdout(predicate::str::contains("HYPERFAKE_MAX_RPCS"));
    for shell in ["bash", "zsh", "fish"] {
        run(&format!("completions {shell}"))
            .success()
            .stdout(predicate::str::contains("cold-start"));
    }
    run("").failure().stderr(predicate::str::contains("Usage"));
}

#[test]
fn a_call_without_a_worker_says_what_to_do() {
    let (_socket, port) = deaf_port();
    run(&format!("call hyperfaas-echo --address 127.0.0.1:{port}"))
        .failure()
        .stderr(predicate::str::contains("hyperfake server"));
}
