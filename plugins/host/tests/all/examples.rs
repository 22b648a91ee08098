//! The examples have the properties of a predictor, and export one symbol.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

use hyperfake_plugin_fixtures::{c, package};
use hyperfake_plugin_host::PluginBackend;
use hyperfake_plugin_sdk::Prediction;
use hyperfake_plugin_testkit::library_conforms;
use hyperfake_predictor::{Backend, Features, ModelUri};

use crate::refusal;

fn queueing() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/queueing/queueing.c")
}

/// The textbook's formula for the probability to wait, with its sum and its factorials.
fn erlang_c(servers: u32, busy: f64) -> f64 {
    let power_over_factorial =
        |n: u32| (1..=n).map(|factor| busy / f64::from(factor)).product::<f64>();
    let servers_f64 = f64::from(servers);
    let last = power_over_factorial(servers) * servers_f64 / (servers_f64 - busy);
    last / ((0..servers).map(power_over_factorial).sum::<f64>() + last)
}

#[test]
fn the_c_example_has_the_properties_of_a_predictor() {
    let library = c(&queueing());
    library_conforms(library.path(), r#"{"cores": 16, "service_ns": 2e6}"#, |features| {
        let busy = features.worker_cpu_cores.min(0.99 * 16.0);
        Prediction {
            runtime_ns: 2e6 * (1.0 + erlang_c(16, busy) / (16.0 - busy)),
            cpu_cores: 1.0,
            ram_bytes: 64e6,
        }
    });
}

#[test]
fn the_c_example_computes_the_erlang_c_waiting_time() {
    // Two servers, one of them busy: one call in three waits.
    assert!((erlang_c(2, 1.0) - 1.0 / 3.0).abs() < 1e-12);
    let library = c(&queueing());
    let model = PluginBackend.open(&ModelUri::from_path(library.path())).unwrap();
    let ask = |worker_cpu_cores| {
        let features = Features { worker_cpu_cores, ..Features::IDLE };
        model.session().unwrap().predict(&features).unwrap().runtime_ns
    };
    assert_eq!(ask(0.0), 1e7);
    assert!(ask(2.0) > 1e7 && ask(3.9) > 2.0 * ask(2.0));
    assert_eq!(ask(1e9), ask(3.99));
}

#[test]
fn the_c_example_refuses_a_configuration_that_makes_no_sense() {
    let library = c(&queueing());
    for (config, expected) in [
        (r#"{"core": 1}"#, "unknown field 'core', expected cores, service_ns, cpu_cores"),
        (r#"{"cores": 0}"#, "cores: found 0, expected 1 to 4096"),
        (r#"{ "cores" : 2 , "ram_bytes" : -1 }"#, "ram_bytes: expected a number from 0"),
        (r#"{"service_ns": "1ms"}"#, "service_ns: expected a number from 0"),
    ] {
        let path = library.folder().join("config.json");
        std::fs::write(&path, config).unwrap();
        let uri = format!("{}?config={}", library.path().display(), path.display());
        let (_, text) = refusal(&uri.parse().unwrap());
        assert!(text.contains("'queueing' 1.0.0 cannot be created: "), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn each_example_exports_one_symbol() {
    for library in [c(&queueing()), package("noisy")] {
        let nm = Command::new("nm").args(["-D", "--defined-only"]).arg(library.path()).output();
        match nm {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return println!("skipped: there is no nm");
            }
            nm => {
                let text = String::from_utf8(nm.unwrap().stdout).unwrap();
                let names: Vec<_> =
                    text.lines().filter_map(|line| line.split_whitespace().last()).collect();
                assert_eq!(names, ["hyperfake_plugin"], "{}", library.path().display());
            }
        }
    }
}
