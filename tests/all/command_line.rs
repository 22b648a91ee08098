//! The command line as people and their shells, scripts and supervisors use it.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use predicates::prelude::*;

use crate::{
    program::{Served, hyperfake},
    support::{constant, repository},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hyperfake");

/// Runs the program in this folder.
fn run_in(folder: &Path, words: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = hyperfake();
    command.current_dir(folder);
    assert_cmd::Command::from_std(command).args(words).timeout(Duration::from_secs(60)).assert()
}

/// Runs a line of shell, in which the program is `hyperfake`.
fn shell(line: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new("bash");
    let script = format!("hyperfake() {{ '{PROGRAM}' \"$@\"; }}; {line}");
    command.args(["-c", &script]).current_dir(repository(""));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HYPERFAKE_")) {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A folder with models of these names.
fn folder_with(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        match path.extension().is_some_and(|extension| extension == "json") {
            true => fs::write(path, constant(Duration::from_millis(1))).unwrap(),
            false => drop(fs::copy(repository("models/hyperfaas-echo.onnx"), path).unwrap()),
        }
    }
    folder
}

/// The images and files of `hyperfake models --json …`.
fn listed(folder: &Path, words: &[&str]) -> Vec<(String, String)> {
    let output = run_in(folder, &[&["models", "--json"], words].concat()).success();
    let json: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    json.as_array().unwrap().iter().map(|one| (text(&one["image"]), text(&one["file"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(image, file)| ((*image).to_owned(), (*file).to_owned())).collect()
}

#[test]
fn every_file_that_a_shell_expands_is_a_model() {
    let folder = folder_with(&["a.onnx", "b.onnx", "c.json"]);
    let all = listed(folder.path(), &["-m", "a.onnx", "b.onnx", "c.json"]);
    assert_eq!(all, pairs(&[("a", "a.onnx"), ("b", "b.onnx"), ("c", "c.json")]));
    let two = listed(folder.path(), &["-m", "a.onnx", "b.onnx"]);
    assert_eq!(two, pairs(&[("a", "a.onnx"), ("b", "b.onnx")]));
    let named = listed(folder.path(), &["-m", "a.onnx", "img:1", "b.onnx", "-m", "c.json", "d"]);
    assert_eq!(named, pairs(&[("img:1", "a.onnx"), ("b", "b.onnx"), ("d", "c.json")]));

    // Other files that a pattern may match.
    for (name, expected) in [
        ("README", "'README' is a file, and could be the image of a.onnx: write './README' for"),
        ("read me", "read me: found a file without an extension, expected one of"),
        ("notes.txt~", "notes.txt~: found '.txt~', expected one of"),
    ] {
        fs::write(folder.path().join(name), "").unwrap();
        run_in(folder.path(), &["models", "-m", "a.onnx", name])
            .failure()
            .stderr(predicate::str::contains(expected));
    }
}

/// The names of the variables of a command and its subcommands.
fn variables(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|arg| arg.get_env());
    let own = own.map(|name| name.to_str().unwrap().to_owned());
    own.chain(command.get_subcommands().flat_map(variables)).collect()
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let mut all = variables(&hyperfake_worker::args::parser());
    all.insert("HYPERFAKE_MODEL".into());
    assert!(all.len() > 35, "{all:?}");
    let empty = |command: &mut Command| {
        all.iter().for_each(|name| _ = command.env(name, ""));
    };
    let mut command = hyperfake();
    empty(&mut command);
    // The options that `start_as` sets are covered by the commands below.
    let server = Served::start_as(command, "");
    assert!(server.summary.contains("./models/hyperfaas-echo.onnx"), "{}", server.summary);
    assert!(server.summary.contains("runtime docker, cold start 541 ms"), "{}", server.summary);
    for line in [
        "models",
        "predict models/hyperfaas-echo.onnx",
        "models check models/hyperfaas-echo.onnx",
        "doctor",
    ] {
        let mut command = hyperfake();
        empty(&mut command);
        assert_cmd::Command::from_std(command).args(line.split(' ')).assert().success();
    }
    // A client and a server find each other at the address that they have without variables.
    let mut command = hyperfake();
    empty(&mut command);
    let address = assert_cmd::Command::from_std(command)
        .args(["call", "image", "--database-address", "http://127.0.0.1:1"])
        .assert()
        .failure();
    let text = String::from_utf8(address.get_output().stderr.clone()).unwrap();
    assert!(!text.contains("HYPERFAKE_") && !text.contains("invalid"), "{text}");
}

#[test]
fn the_help_shows_every_variable_even_an_empty_one() {
    let mut command = hyperfake();
    command.env("HYPERFAKE_FLEET", "").args(["server", "--help"]);
    assert_cmd::Command::from_std(command)
        .assert()
        .success()
        .stdout(predicate::str::contains("HYPERFAKE_FLEET"));
}

#[test]
fn an_error_about_a_variable_names_the_variable() {
    let parser = hyperfake_worker::args::parser();
    let server = parser.find_subcommand("server").unwrap();
    for name in variables(server) {
        // A library is only looked for when a model needs it, and any key is one of etcd's.
        if ["HYPERFAKE_ORT_LIB", "HYPERFAKE_METADATA_PREFIX"].contains(&&*name) {
            continue;
        }
        let mut command = hyperfake();
        command.arg("server").env(&name, "?/?");
        // Some are looked at when the worker starts, which must not find a port that is taken.
        if name != "HYPERFAKE_ADDRESS" {
            command.args(["--address", "127.0.0.1:0"]);
        }
        // The file of functions is opened by a worker that has functions of its own.
        if name != "HYPERFAKE_ETCD_LISTEN" {
            command.args(["--etcd-listen", "127.0.0.1:0"]);
        }
        let mut command = assert_cmd::Command::from_std(command);
        let output = command.timeout(Duration::from_secs(60)).assert().failure();
        let text = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        assert!(text.contains(&name), "{name}: {text}");
    }
    for (name, value, words, expected) in [
        ("HYPERFAKE_FLEET", "many", &["server"][..], "HYPERFAKE_FLEET, which stands for --fleet"),
        (
            "HYPERFAKE_ADDRESS",
            "nowhere",
            &["server"],
            "error: HYPERFAKE_ADDRESS (--address): found",
        ),
        ("HYPERFAKE_ADDRESS", "127.0.0.1:1", &["call", "x"], "HYPERFAKE_ADDRESS (--address): no "),
        ("HYPERFAKE_MODEL", "a.onnx b c", &["models"], "HYPERFAKE_MODEL: 'c' is not a model file"),
        ("HYPERFAKE_MODEL", "a.onnx b//c", &["models"], "HYPERFAKE_MODEL (--model): 'b//c' is not"),
        ("HYPERFAKE_MAX_RUNTIME", "soon", &["predict", "x.onnx"], "HYPERFAKE_MAX_RUNTIME"),
        ("HYPERFAKE_ONNX_ENGINE", "fast", &["models"], "HYPERFAKE_ONNX_ENGINE"),
    ] {
        let mut command = hyperfake();
        command.args(words).env(name, value);
        let output = assert_cmd::Command::from_std(command).assert().failure();
        output.stderr(predicate::str::contains(expected));
    }
    // The option overrides the variable, so the error is about the option.
    let mut command = hyperfake();
    command.args(["server", "--fleet", "none"]).env("HYPERFAKE_FLEET", "many");
    let output = assert_cmd::Command::from_std(command).assert().failure();
    output.stderr(predicate::str::contains("'none'").and(predicate::str::contains("_FLEET").not()));
}

#[test]
fn a_path_with_a_space_can_be_given_by_variable() {
    let folder = folder_with(&["my model.json", "b.json"]);
    for (value, expected) in [
        ("my model.json img:1", &[("img:1", "my model.json")][..]),
        ("b.json;my model.json img", &[("b", "b.json"), ("img", "my model.json")]),
    ] {
        let mut command = hyperfake();
        command.current_dir(folder.path()).env("HYPERFAKE_MODEL", value);
        let output = assert_cmd::Command::from_std(command).args(["models", "--json"]).assert();
        let json: serde_json::Value =
            serde_json::from_slice(&output.success().get_output().stdout).unwrap();
        let found: Vec<_> = json.as_array().unwrap().iter().collect();
        assert_eq!(found.len(), expected.len());
        for (found, (image, file)) in found.iter().zip(expected) {
            assert_eq!((&found["image"], &found["file"]), (&(*image).into(), &(*file).into()));
        }
    }
}

#[test]
fn hidden_files_and_leftovers_in_a_models_folder_are_ignored() {
    let folder = folder_with(&["echo.onnx"]);
    let path = |name: &str| folder.path().join(name);
    for name in ["._echo.onnx", ".settings.json", ".echo.onnx.swp", "echo.onnx~", "echo.onnx.bak"] {
        fs::write(path(name), "\0\x05\x16\x07 of some program").unwrap();
    }
    fs::create_dir(path("folder.onnx")).unwrap();
    std::os::unix::fs::symlink("nowhere.onnx", path("dangling.onnx")).unwrap();
    let file = path("echo.onnx").display().to_string();
    let models = ["--models-dir", &*folder.path().display().to_string()].map(str::to_owned);
    let words: Vec<_> = models.iter().map(String::as_str).collect();
    assert_eq!(listed(folder.path(), &words), pairs(&[("echo", &file)]));

    // A visible file with a model's extension is an error that says what to do.
    fs::write(path("package.json"), r#"{"name": "x", "version": "1"}"#).unwrap();
    let refused = run_in(folder.path(), &[&["models"], &words[..]].concat()).failure();
    let text = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("package.json") && text.contains("--skip-bad-models"), "{text}");
    let good = listed(folder.path(), &[&words[..], &["--skip-bad-models"]].concat());
    assert_eq!(good.len(), 1);

    // Not every file name is an image's name.
    fs::rename(path("package.json"), path("my model.json")).unwrap();
    fs::write(path("my model.json"), constant(Duration::ZERO)).unwrap();
    let refused = run_in(folder.path(), &[&["models"], &words[..]].concat()).failure();
    let text = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("'my model' is not the name of an image"), "{text}");
    assert!(text.contains("-m PATH IMAGE"), "{text}");
}

#[test]
fn a_file_name_may_have_any_characters() {
    let names = [
        "my model.json",
        "model (1).json",
        "größe.json",
        "what?.json",
        "a#b.json",
        "50%25.json",
        "echo:v2.json",
        "tract:x.json",
        "a?x=1.json",
        "UPPER.JSON",
        "quo'te\".json",
        "a&b;c.json",
    ];
    let folder = folder_with(&names.map(|name| if name == "UPPER.JSON" { "u.json" } else { name }));
    fs::rename(folder.path().join("u.json"), folder.path().join("UPPER.JSON")).unwrap();
    for name in names {
        let answer = |words: &[&str]| {
            run_in(folder.path(), words).success().stdout(predicate::str::contains("1 ms"));
        };
        answer(&["predict", name]);
        answer(&["predict", &format!("file:{name}")]);
        answer(&["predict", &format!("json:{name}")]);
        answer(&["predict", &folder.path().join(name).display().to_string()]);
        answer(&["models", "check", name]);
        answer(&["models", "-m", name, "image"]);
    }
    // A name that is not UTF-8.
    #[cfg(target_os = "linux")]
    {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let name = OsStr::from_bytes(b"gr\xf6\xdfe.json");
        fs::write(folder.path().join(name), constant(Duration::from_millis(1))).unwrap();
        for words in [&["predict"][..], &["models", "check"], &["models", "-m"]] {
            let mut command = hyperfake();
            command.current_dir(folder.path()).args(words).arg(name);
            if words == ["models", "-m"] {
                command.arg("image");
            }
            let output = assert_cmd::Command::from_std(command).assert().success();
            output.stdout(predicate::str::contains("1 ms"));
        }
    }
    run_in(folder.path(), &["predict", "file:none?.json"])
        .failure()
        .stderr(predicate::str::contains("none?.json: no such file"));
}

#[test]
fn a_closed_pipe_is_not_an_error_and_a_full_disk_is_one_line() {
    for line in [
        "completions zsh",
        "--help",
        "server --help",
        "models",
        "models check models/*.onnx",
        "predict models/hyperfaas-echo.onnx",
    ] {
        let (code, _, error) =
            shell(&format!("hyperfake {line} | head -c 1 > /dev/null; exit ${{PIPESTATUS[0]}}"));
        assert_eq!((code, &*error), (Some(0), ""), "{line}");
        if Path::new("/dev/full").exists() {
            let (code, _, error) = shell(&format!("hyperfake {line} > /dev/full"));
            assert_eq!(code, Some(1), "{line}: {error}");
            assert_eq!(error.lines().count(), 1, "{line}: {error}");
            assert!(error.starts_with("error: cannot write to standard output"), "{line}: {error}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_serves_even_if_its_summary_cannot_be_written() {
    let mut process = hyperfake()
        .args(["server", "--address", "127.0.0.1:0", "--database-type", "embedded"])
        .args(["--database-address", "http://127.0.0.1:0"])
        .stdout(fs::File::options().write(true).open("/dev/full").unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = String::new();
    let mut reader = BufReader::new(process.stderr.take().unwrap());
    while !log.contains("serving") || !log.ends_with('\n') {
        assert_ne!(reader.read_line(&mut log).unwrap(), 0, "{log}");
    }
    assert!(log.contains("No space left"), "{log}");
    let pid = process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

/// Waits until the log has this in it.
fn wait_for(file: &Path, text: &str) -> String {
    for _ in 0..3000 {
        let log = fs::read_to_string(file).unwrap_or_default();
        if log.contains(text) {
            return log;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{}: no '{text}'", file.display());
}

#[test]
fn sighup_reopens_the_log_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, old) = (folder.path().join("worker.log"), folder.path().join("worker.log.1"));
    let server = Served::start(&format!("--log-file {}", file.display()));
    wait_for(&file, "serving");
    fs::rename(&file, &old).unwrap();
    server.signal("-HUP");
    wait_for(&file, "reopened the log file");
    // An error to open the new file is logged in the old one.
    fs::rename(&file, &old).unwrap();
    fs::create_dir(&file).unwrap();
    server.signal("-HUP");
    wait_for(&old, "logging continues in the old file");
    fs::remove_dir(&file).unwrap();
    server.signal("-HUP");
    wait_for(&file, "reopened the log file");
    server.signal("-TERM");
    assert_eq!(server.end(), (Some(0), String::new()));
    assert!(wait_for(&file, "stopped; how late").contains("stopping"));
    assert!(!fs::read_to_string(&old).unwrap().contains("stopp"));
}

#[test]
fn sighup_stops_a_server_without_a_log_file_unless_it_is_ignored() {
    let server = Served::start("");
    server.signal("-HUP");
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopping") && log.contains("stopped"), "{log}");

    if cfg!(target_os = "linux") {
        let mut nohup = Command::new("sh");
        nohup.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", PROGRAM]).current_dir(repository(""));
        let server = Served::start_as(nohup, "--runtime instant");
        server.signal("-HUP");
        for _ in 0..3 {
            let Served { address, database, .. } = &server;
            let call = ["call", "hyperfaas-echo", "--address", address];
            let words = [&call[..], &["--database-address", database]].concat();
            run_in(&repository(""), &words).success();
        }
        server.signal("-TERM");
        let (code, log) = server.end();
        assert_eq!(code, Some(0), "{log}");
    }
}

#[test]
fn call_and_load_report_a_missed_deadline_as_deadline_exceeded() {
    let folder = tempfile::tempdir().unwrap();
    let slow = folder.path().join("slow.json");
    fs::write(&slow, constant(Duration::from_secs(600))).unwrap();
    let server = Served::start(&format!("--runtime instant -m {}", slow.display()));
    let at = format!("--address {} --database-address {}", server.address, server.database);
    let load = "load --functions slow --rate 20 --duration 200ms --no-warm-up";
    // A deadline that Start meets, on a slow machine as well.
    for (line, expected) in [
        (format!("call slow --deadline 2s {at}"), "1 x DeadlineExceeded"),
        (format!("{load} --deadline 2s {at}"), "4 x DeadlineExceeded"),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let output = run_in(&repository(""), &words).failure();
        let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
        assert!(text.contains(expected) && !text.contains("Cancelled"), "{line}: {text}");
    }
    let line = format!("call slow --deadline 0s {at}");
    run_in(&repository(""), &line.split(' ').collect::<Vec<_>>())
        .failure()
        .stderr(predicate::str::contains("within 0 ns"));
    // No call is still running at the worker.
    server.signal("-TERM");
    let (code, log) = server.end();
    assert_eq!((code, log.contains("aborted in-flight")), (Some(0), false), "{log}");
}

#[test]
fn options_of_the_prototype_have_the_same_meaning() {
    let mut command = hyperfake();
    command.env("HYPERFAKE_AUTO_REMOVE", "true");
    let options = "--containerized=false --auto-remove=false --update-buffer-size -1 \
                   --log-level critical --timeout 20";
    let server = Served::start_as(command, options);
    server.signal("-TERM");
    assert_eq!(server.end(), (Some(0), String::new()));
    // A warning is shown from this level on.
    let server = Served::start("--log-level warning --lateness-warn 0s");
    server.signal("-TERM");
    let (code, log) = server.end();
    assert_eq!(code, Some(0));
    assert!(!log.contains("INFO"), "{log}");
}
