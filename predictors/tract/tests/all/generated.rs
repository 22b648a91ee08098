//! The models that `tests/onnx/generate.py` writes: one operator with its attributes in each, and
//! right answers worked out in Python by formula or by onnx.reference.

use std::{collections::BTreeMap, env, ffi::OsString, fs, path::Path, process::Command};

use hyperfake_predictor::{Backend, Features, ModelUri};
use hyperfake_predictor_tract::{DenseBackend, TractBackend};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/onnx/generate.py");

/// Of the right answer: the proof of a lowering allows as much.
const RELATIVE: f64 = 1e-4;
/// What half precision leaves, whose numbers have eleven bits.
const HALF: f64 = 2e-3;

/// A Python that can run the script: the one that `HYPERFAKE_TEST_PYTHON` names, which must be
/// able to, or `python3`.
fn python() -> Option<OsString> {
    let named = env::var_os("HYPERFAKE_TEST_PYTHON").filter(|name| !name.is_empty());
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let check = Command::new(&python).args(["-c", "import numpy, onnx.reference"]).output();
    let able = check.is_ok_and(|output| output.status.success());
    assert!(able || named.is_none(), "HYPERFAKE_TEST_PYTHON has no numpy and onnx");
    able.then_some(python)
}

enum Outcome {
    Declined(String),
    Differs(String),
    Agrees,
}

fn outcome(backend: &dyn Backend, path: &Path) -> Outcome {
    let predictor = match backend.open(&ModelUri::from_path(path)) {
        Ok(predictor) => predictor,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n'), "{text}");
            return Outcome::Declined(text);
        }
    };
    let mut session = predictor.session().unwrap();
    let half = path.to_string_lossy().contains("-half");
    let allowed = if half { HALF } else { RELATIVE };
    for line in fs::read_to_string(path.with_extension("txt")).unwrap().lines() {
        let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        let features = Features::from_array(*numbers.first_chunk().unwrap());
        let found = match session.predict(&features) {
            Ok(found) => found.to_array(),
            Err(error) => return Outcome::Differs(format!("at {features:?}: {error}")),
        };
        let expected = &numbers[5..];
        let near = |(found, expected): (&f64, &f64)| {
            (found - expected).abs() <= allowed * found.abs().max(expected.abs())
        };
        if !found.iter().zip(expected).all(near) {
            return Outcome::Differs(format!("at {features:?}: {found:?}, right is {expected:?}"));
        }
    }
    Outcome::Agrees
}

#[test]
fn every_generated_model_is_answered_as_onnx_defines_it_or_declined() {
    let Some(python) = python() else {
        println!("skipped: no Python with numpy and onnx is found");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(python).args(["-B", SCRIPT]).arg(folder.path()).status().unwrap();
    assert!(status.success(), "{status}");
    let both = [folder.path().to_owned(), folder.path().join("onnxruntime-differs")];
    let entries = both.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    files.sort();
    assert!(files.len() > 1000, "{} models", files.len());
    let mut wrong = Vec::new();
    let mut served = BTreeMap::new();
    for path in &files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        for (engine, backend) in
            [("tract", &TractBackend as &dyn Backend), ("dense", &DenseBackend as &dyn Backend)]
        {
            match outcome(backend, path) {
                Outcome::Agrees => *served.entry(engine).or_insert(0) += 1,
                Outcome::Differs(how) => wrong.push(format!("{engine} {name}: {how}")),
                Outcome::Declined(why) => {
                    if engine == "tract" {
                        println!("declined {name}: {}", why.split_once(": ").unwrap().1);
                    }
                }
            }
        }
    }
    println!("of {} models: {served:?}", files.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), files.len(), wrong.join("\n"));
    // What is declined is right too, but of no use.
    assert!(served["tract"] > 1000 && served["dense"] > 30, "{served:?}");
}
