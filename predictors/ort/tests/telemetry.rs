//! A program that turns ONNX Runtime's telemetry off in the first line of its `main` and then uses
//! a model: nothing is written to the home folder, and no thread is started.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{env, fs, process::Command};

use hyperfake_predictor::{Backend, Features, ModelUri};
use hyperfake_predictor_ort::{OrtBackend, find, turn_off_telemetry};
use hyperfake_predictor_testkit::reference::LINEAR;

fn main() {
    if !cfg!(target_os = "linux") {
        println!("skipped: the telemetry exists on Linux only");
    } else if let Some(model) = env::args_os().nth(1).filter(|_| env::var_os("CHILD").is_some()) {
        use_model(ModelUri::from_path(model));
    } else {
        start();
    }
}

/// Runs this program again, with a home folder of its own.
fn start() {
    let folder = tempfile::tempdir().unwrap();
    let (home, model) = (folder.path().join("home"), folder.path().join("model.onnx"));
    fs::create_dir(&home).unwrap();
    fs::write(&model, LINEAR.to_onnx().to_bytes()).unwrap();
    let status = Command::new(env::current_exe().unwrap())
        .arg(model)
        .env("CHILD", "1")
        .env("HOME", &home)
        .env_remove("XDG_CACHE_HOME")
        .env_remove("ORT_DISABLE_TELEMETRY")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(fs::read_dir(home).unwrap().count(), 0, "telemetry has written to the home folder");
}

fn use_model(model: ModelUri) {
    assert!(turn_off_telemetry(), "it is not off");
    if find(None).found.is_none() {
        assert!(env::var_os("HYPERFAKE_TEST_ALL").is_none(), "no ONNX Runtime is found");
        println!("ignored: needs ONNX Runtime");
        return;
    }
    let model = OrtBackend::default().open(&model).unwrap();
    for _ in 0..2 {
        model.session().unwrap().predict(&Features::IDLE).unwrap();
    }
    assert_eq!(fs::read_dir("/proc/self/task").unwrap().count(), 1, "threads were started");
    println!("telemetry is off and there is one thread");
}
