//! Properties of the files in `models/`.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use hyperfake_models::{BFS, Domain, ECHO, FitError, Function, Law, Sample, THUMBNAILER, report};
use hyperfake_predictor::{Backend, Features, ModelUri, Predictor, Random, Result};
use hyperfake_predictor_json::JsonBackend;
use hyperfake_predictor_tract::TractBackend;

/// Trained once for all tests.
static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(Sample::all);

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn table_of(law: &Law) -> Result<Arc<dyn Predictor>> {
    JsonBackend.open(&ModelUri::from_path(folder().join(format!("tables/{}.json", law.image))))
}

fn network_of(law: &Law) -> Result<Arc<dyn Predictor>> {
    TractBackend.open(&ModelUri::from_path(folder().join(format!("{}.onnx", law.image))))
}

#[test]
fn the_shipped_files_are_reproduced_byte_for_byte() {
    let functions = Function::ALL.iter().flat_map(Function::files);
    for file in SAMPLES.iter().flat_map(Sample::files).chain(functions) {
        let shipped = fs::read(folder().join(&file.path)).unwrap();
        assert!(shipped == file.bytes, "{} differs: run the program again", file.path);
        assert!(file.bytes.len() < 200_000, "{}: {} bytes", file.path, file.bytes.len());
    }
}

#[test]
fn the_readme_says_what_the_program_prints() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let files: Vec<_> = SAMPLES.iter().flat_map(Sample::files).collect();
    for line in report(&SAMPLES, &files).lines() {
        assert!(readme.contains(line), "README.md lacks the line {line}");
    }
}

#[test]
fn idle_answers_are_those_of_the_images() {
    for (law, runtime_ms, cpu_cores, ram_mb) in [
        (ECHO, 6.8..7.2, 0.55..0.65, 7.9..8.1),
        (THUMBNAILER, 335.0..345.0, 0.85..0.95, 89.0..91.0),
        (BFS, 2_750.0..2_850.0, 0.9..1.0, 134.0..136.0),
    ] {
        let sample = SAMPLES.iter().find(|sample| sample.law == law).unwrap();
        let idle = sample.network.predict(&law.idle());
        assert!(runtime_ms.contains(&(idle.runtime_ns / 1e6)), "{}: {idle:?}", law.image);
        assert!(cpu_cores.contains(&idle.cpu_cores), "{}: {idle:?}", law.image);
        assert!(ram_mb.contains(&(idle.ram_bytes / 1e6)), "{}: {idle:?}", law.image);
    }
}

#[test]
fn a_network_is_close_to_its_law() {
    for Sample { law, network } in &*SAMPLES {
        let error = |domain| FitError::measure(law, |features| network.predict(features), domain);
        for error in error(&Domain::STATED) {
            let close = error.median < 0.01 && error.p99 < 0.03 && error.largest < 0.08;
            assert!(close, "{}: {error}", law.image);
        }
        for error in error(&Domain::STRETCHED) {
            let close = error.median < 0.02 && error.p99 < 0.1 && error.largest < 0.25;
            assert!(close, "{} far outside: {error}", law.image);
        }
        let (expected, found) = (law.predict(&law.idle()), network.predict(&law.idle()));
        for (expected, found) in expected.to_array().into_iter().zip(found.to_array()) {
            assert!((found / expected - 1.0).abs() < 0.01, "{} idle", law.image);
        }
    }
}

#[test]
fn nothing_gets_faster_or_lighter_under_load() {
    let highest = Domain::STRETCHED.highest;
    for Sample { law, network } in &*SAMPLES {
        for function_instances in [1.0, 3.0, 10.0, 100.0, 500.0] {
            let begin = Features { function_instances, ..law.idle() };
            // A feature that rises in 2000 steps; calls do so one by one.
            let sweeps: [&dyn Fn(f64) -> Features; 4] = [
                &|share| Features { active_calls: (share * highest.active_calls).round(), ..begin },
                &|share| Features { request_bytes: share * highest.request_bytes, ..begin },
                &|share| Features { worker_cpu_cores: share * highest.worker_cpu_cores, ..begin },
                &|share| Features { worker_ram_bytes: share * highest.worker_ram_bytes, ..begin },
            ];
            for sweep in sweeps {
                let mut last = [0.0; 3];
                for step in 0..=2_000 {
                    let features = sweep(f64::from(step) / 2_000.0);
                    let answer = network.predict(&features).to_array();
                    for (answer, last) in answer.iter().zip(&last) {
                        assert!(answer >= last, "{} falls at {features:?}", law.image);
                    }
                    last = answer;
                }
            }
        }
    }
}

#[test]
fn more_instances_never_slow_a_call_down() {
    for Sample { law, network } in &*SAMPLES {
        for active_calls in [0.0, 10.0, 100.0, 500.0, 2_000.0] {
            let mut last = [f64::INFINITY; 3];
            for instances in 1..=500 {
                let function_instances = f64::from(instances);
                let features = Features { function_instances, active_calls, ..law.idle() };
                let answer = network.predict(&features).to_array();
                for (answer, last) in answer.iter().zip(&last) {
                    assert!(answer <= last, "{} rises at {features:?}", law.image);
                }
                last = answer;
            }
        }
    }
}

#[test]
fn far_outside_the_domain_the_answers_still_make_sense() {
    let Features { function_instances, .. } = Domain::STRETCHED.highest;
    for Sample { law, network } in &*SAMPLES {
        // No answer falls with a load or rises with the instances: these are the extremes.
        let least = network.predict(&Features { function_instances, ..Features::IDLE });
        let most =
            network.predict(&Features { function_instances: 1.0, ..Domain::STRETCHED.highest });
        let empty = law.predict(&Features::IDLE);
        for ((least, most), empty) in
            least.to_array().into_iter().zip(most.to_array()).zip(empty.to_array())
        {
            assert!(least > 0.95 * empty, "{}: {least}", law.image);
            assert!(most.is_finite(), "{}: {most}", law.image);
        }
        assert!(most.runtime_ns < 600e9, "{}: {most:?}", law.image);
    }
}

#[test]
fn an_onnx_file_answers_as_its_network_does() {
    for Sample { law, network } in &*SAMPLES {
        let model = network_of(law).unwrap();
        let mut session = model.session().unwrap();
        let mut random = Random::new(3, 0);
        for _ in 0..1_000 {
            let features = Domain::STRETCHED.draw(&mut random);
            let expected = network.predict(&features).to_array();
            let found = session.predict(&features).unwrap().to_array();
            for (found, expected) in found.into_iter().zip(expected) {
                assert!((found / expected - 1.0).abs() < 1e-4, "{}: {features:?}", law.image);
            }
        }
    }
}

#[test]
fn a_table_says_what_its_law_says() {
    for law in Law::ALL {
        let model = table_of(&law).unwrap();
        let mut session = model.session().unwrap();
        let idle = session.predict(&law.idle()).unwrap();
        for (found, expected) in
            idle.to_array().into_iter().zip(law.predict(&law.idle()).to_array())
        {
            assert!((found / expected - 1.0).abs() < 1e-6, "{} idle: {idle:?}", law.image);
        }
        let predict = |features: &Features| session.predict(features).unwrap();
        for error in FitError::measure(&law, predict, &Domain::STATED) {
            let close = error.median < 1e-3 && error.p99 < 0.05 && error.largest < 0.15;
            assert!(close, "{}: {error}", law.image);
        }
    }
}

#[test]
fn only_echo_has_the_response_echo() {
    for law in Law::ALL {
        for model in [network_of(&law).unwrap(), table_of(&law).unwrap()] {
            let response = model.info().settings.get("response").map(String::as_str);
            assert_eq!(response, (law == ECHO).then_some("echo"), "{:?}", model.info());
        }
    }
}
