//! `hyperfake measure` and `hyperfake clone`, with functions that run.

mod signal;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use hyperfake_worker::record::{Row, RowReader};
use serde_json::Value;

use crate::{program::hyperfake, support::eventually};

/// The program of `examples/functions`, which is built beside these tests.
fn functions() -> String {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().parent().unwrap().join("functions");
    assert!(path.exists(), "{} is built by cargo test --workspace", path.display());
    path.display().to_string()
}

fn run(words: &[&str]) -> Output {
    hyperfake().args(words).output().unwrap()
}

/// Measures with a record; returns what was printed and the rows.
fn measure(words: &[&str]) -> (Output, Vec<Row<'static>>) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("rows.csv");
    let output = run(&[&["measure", "--json", "--out", out.to_str().unwrap()], words].concat());
    (output, if out.exists() { rows(&out) } else { Vec::new() })
}

fn rows(path: &Path) -> Vec<Row<'static>> {
    let mut reader = RowReader::open(path).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = reader.read().unwrap() {
        rows.push(row.into_owned());
    }
    rows
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line of an error.
fn error(output: &Output) -> String {
    assert!(!output.status.success());
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

/// The CPU time of a call, in nanoseconds: how long a call takes depends on what else the machine does.
fn cpu_time(row: &Row<'_>) -> Option<f64> {
    Some(row.cpu_cores? * row.run_ns? as f64)
}

fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let numbers: Vec<_> = numbers.collect();
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[test]
fn processes_are_started_called_and_recorded() {
    let exec = format!("{} echo", functions());
    let (output, rows) = measure(&[
        "--exec",
        &exec,
        "--name",
        "f",
        "--rates",
        "40,80",
        "--sizes",
        "1KiB,4KiB",
        "--phase",
        "1s",
        "--warm-up",
        "200ms",
        "--instances",
        "2",
        "--cold-starts",
        "2",
    ]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["levels"].as_array().unwrap().len(), 4, "{report}");
    assert_eq!(report["errors"], serde_json::json!({}));
    let cold: Vec<_> = rows.iter().filter(|row| row.cold == Some(true)).collect();
    assert_eq!(cold.len(), 4);
    assert!(cold.iter().all(|row| row.cold_start_ns > Some(0)));
    assert!(rows.len() > 100, "{}", rows.len());
    for row in &rows {
        assert!(row.succeeded());
        assert_eq!((&*row.function, &*row.image), ("f", "f"));
        assert!(matches!(row.request_bytes, Some(1024 | 4096)));
        assert!(row.run_ns > Some(0) && row.active_calls.is_some());
    }
    let warm: Vec<_> = rows.iter().filter(|row| row.cold == Some(false)).collect();
    assert!(warm.iter().all(|row| row.cold_start_ns == Some(0)));
    assert!(warm.iter().all(|row| row.function_instances == Some(2)));
    for instance in ["2", "3"] {
        assert!(warm.iter().any(|row| row.instance.as_deref() == Some(instance)), "{instance}");
    }
    assert!(warm.iter().filter(|row| row.ram_bytes > Some(0)).count() * 10 > warm.len() * 9);
}

#[test]
fn what_needs_more_cpu_and_memory_is_seen_to_use_more() {
    let measure = |function: &str, sizes: &str| {
        let exec = format!("{} {function}", functions());
        let (_, rows) = measure(&[
            "--exec",
            &exec,
            "--rates",
            "15",
            "--sizes",
            sizes,
            "--phase",
            "2s",
            "--warm-up",
            "0s",
            "--cold-starts",
            "0",
        ]);
        rows
    };
    let rows = measure("compress", "1KiB,256KiB");
    let cpu = |bytes| {
        let of_size = rows.iter().filter(|row| row.request_bytes == Some(bytes));
        mean(of_size.filter_map(cpu_time))
    };
    let (small, large) = (cpu(1 << 10), cpu(256 << 10));
    assert!(large > 3.0 * small, "{small} {large}");
    let waiting = mean(measure("sleep", "1KiB").iter().filter_map(cpu_time));
    assert!(waiting < large / 3.0, "{waiting} {large}");
    let ram = |rows: Vec<Row<'_>>| rows.iter().filter_map(|row| row.ram_bytes).max().unwrap();
    // An image of 4 million pixels has three bytes for each.
    let (image, echo) = (ram(measure("thumbnail", "256KiB")), ram(measure("echo", "1KiB")));
    assert!(image > echo + (4 << 20), "{image} {echo}");
}

/// A process that is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_function_that_runs_already_is_called_by_grpc_and_by_http() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(functions());
    command.arg("echo").env("PORT", port.to_string()).env_remove("CONTROLLER_ADDRESS");
    let mut running = Running(command.stdout(Stdio::null()).spawn().unwrap());
    eventually("the function takes connections", || {
        assert_eq!(running.0.try_wait().unwrap(), None, "it has ended");
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    })
    .await;
    for target in [format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}/any/path")] {
        let (output, rows) = measure(&[
            "--target",
            &target,
            "--rates",
            "50",
            "--sizes",
            "1KiB",
            "--phase",
            "1s",
            "--warm-up",
            "0s",
        ]);
        assert!(rows.len() > 20, "{target}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(rows.iter().all(|row| row.succeeded() && row.request_bytes == Some(1024)));
        assert!(rows.iter().all(|row| row.cpu_cores.is_none() && row.cold.is_none()));
    }
}

#[test]
fn a_process_that_dies_half_way_ends_the_run_and_what_was_measured_is_kept() {
    // Another client calls it for a second once it serves; then it is killed.
    let program = hyperfake().get_program().display().to_string();
    let other = format!(
        "{program} measure --target 127.0.0.1:$PORT --rates 20 --sizes 1KiB --phase 1s --warm-up 0s"
    );
    let exec = format!(
        "{} echo & until {other} >/dev/null 2>&1; do sleep 0.05; done; kill -s KILL $!; exit 7",
        functions()
    );
    let (output, rows) = measure(&[
        "--exec",
        &exec,
        "--rates",
        "50",
        "--sizes",
        "1KiB",
        "--phase",
        "60s",
        "--warm-up",
        "0s",
        "--cold-starts",
        "0",
    ]);
    assert!(!output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let stopped = report["stopped"].as_str().unwrap();
    assert_eq!(
        stopped,
        "in phase 1 of 1: --exec: the process of instance 0 ended with exit status: 7"
    );
    assert!(rows.iter().filter(|row| row.succeeded()).count() > 5, "{}", rows.len());
}

#[test]
fn a_command_that_does_not_serve_is_refused_in_one_line() {
    for (command, expected) in [
        ("echo a reason >&2; exit 3", "the command ended with exit status: 3, and said: a reason"),
        ("no-such-program-here", "the command ended with exit status: 127"),
        ("sleep 60", "the command takes no connection on port"),
    ] {
        let output = run(&["measure", "--exec", command, "--ready", "1s", "--rates", "1"]);
        let error = error(&output);
        assert!(error.contains(&format!("--exec: {expected}")), "{error}");
    }
    // It takes connections, and answers nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let output = run(&["measure", "--target", &address, "--deadline", "300ms", "--rates", "1"]);
    assert!(error(&output).contains("--target: "), "{output:?}");
    drop(silent);
    let output = run(&["measure", "--target", &address, "--rates", "1"]);
    assert!(error(&output).contains("--target: no leaf or instance answers at"), "{output:?}");
}

#[test]
fn what_cannot_be_together_is_refused() {
    for (words, expected) in [
        (&["--exec", "a", "--target", "b"][..], "cannot be used with"),
        (&["--target", "a", "--cpus", "1"], "cannot be used with"),
        (&[], "required"),
        (&["--exec", "a", "--cpus", "0"], "expected a number of cores"),
        (&["--exec", "a", "--http", "x"], "expected a path that begins with a slash"),
        (&["--exec", "a", "--method", "x"], "expected package.Service/Method"),
        (&["--exec", "a", "--sizes", "5MiB"], "--sizes: found 5.0 MiB, expected at most 4.0 MiB"),
        (&["--exec", "a", "--out", "a.txt"], "--out: a.txt: expected a file that ends in"),
    ] {
        let output = run(&[&["measure"], words].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(expected), "{words:?}: {error}");
    }
}

#[test]
fn a_score_that_is_none_is_refused_before_anything_is_measured() {
    for score in ["NaN", "-1", "inf", "ks=0.5"] {
        let bound = format!("--fail-above={score}");
        let output = run(&["clone", "--exec", "exit 1", "--out", "/nowhere/at/all", &bound]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("expected a number that is not negative"), "{score}: {error}");
    }
    let output =
        run(&["clone", "--exec", "exit 1", "--out", "/dev/null/a", "--fail-above=score=1"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("--out: "), "it is a score");
}

/// Whether a process lives; one that has ended and was not yet asked about does not.
fn lives(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn processes_end_with_the_program_even_when_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("processes");
    // A shell, its child that serves, and another child.
    let exec = format!("sleep 600 & echo $! $$ > {}; {} echo; exit 0", file.display(), functions());
    let words =
        ["measure", "--exec", &exec, "--rates", "5", "--sizes", "1KiB", "--cold-starts", "0"];
    for is_killed in [false, true] {
        let phase = if is_killed { "600s" } else { "1s" };
        let mut measuring = hyperfake();
        measuring.args(words).args(["--phase", phase, "--warm-up", "0s"]);
        let mut measuring = measuring.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = || std::fs::read_to_string(&file).unwrap_or_default();
        eventually("the processes run", || started().ends_with('\n')).await;
        let processes = started();
        if is_killed {
            measuring.kill().unwrap();
        }
        eventually("the program has ended", || measuring.try_wait().unwrap().is_some()).await;
        for process in processes.split_whitespace() {
            eventually("the processes have ended", || !lives(process)).await;
        }
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_clone_is_a_model_that_can_be_served() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clone");
    let exec = format!("{} sleep", functions());
    let output = run(&[
        "clone",
        "--exec",
        &exec,
        "--name",
        "waits",
        "--out",
        out.to_str().unwrap(),
        "--sizes",
        "1KiB,4KiB",
        "--time",
        "24s",
        "--fit-time",
        "5s",
        "--cold-starts",
        "2",
    ]);
    let (text, said) = (stdout(&output), String::from_utf8_lossy(&output.stderr).into_owned());
    // A machine that is busy with something else makes it fail, and say so.
    assert!(output.status.success() || text.contains("\nINVALID: "), "{text}{said}");
    for file in [
        "scenario.yaml",
        "cold-starts.csv",
        "measured.csv",
        "real.csv",
        "real-again.csv",
        "fake.csv",
        "report.html",
        "comparison.json",
    ] {
        assert!(out.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    // The words behind the last "hyperfake" are the options of a server: models lists what it would load.
    let line = text.lines().last().unwrap().trim().to_owned();
    let words: Vec<_> = line.split(' ').collect();
    assert_eq!(&words[..3], ["hyperfake", "server", "-m"]);
    assert_eq!(words[4..], ["waits", "--scenario", out.join("scenario.yaml").to_str().unwrap()]);
    let model = PathBuf::from(words[3]);
    let listed = run(&["models", "-m", model.to_str().unwrap(), "waits"]);
    assert!(listed.status.success() && stdout(&listed).contains("waits"), "{listed:?}");
    let comparison = std::fs::read_to_string(out.join("comparison.json")).unwrap();
    let comparison: Value = serde_json::from_str(&comparison).unwrap();
    // How well it does is the bench's business.
    let distance = &comparison["functions"]["waits"]["run_time"]["wasserstein"]["fake"];
    assert!(distance.is_f64(), "{comparison}");
    let real = rows(&out.join("real.csv"));
    assert!(real.iter().all(|row| row.run_ns >= Some(Duration::from_millis(9).as_nanos() as u64)));
}
