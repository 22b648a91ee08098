//! Models of scikit-learn, as HyperFaaS's training programs and others export them, against what
//! scikit-learn predicts. `tests/python/export_trees.py` makes them.

use std::{env, ffi::OsString, fs, path::Path, process::Command, sync::Arc};

use hyperfake_predictor::{Backend, Backends, Features, ModelUri};
use hyperfake_predictor_tract::{DenseBackend, TractBackend, TreesBackend};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/python/export_trees.py");

/// A Python that can run the script: the one that `HYPERFAKE_TEST_PYTHON` names, which must be
/// able to, or `python3`, if it is.
fn python() -> Option<OsString> {
    let named = env::var_os("HYPERFAKE_TEST_PYTHON");
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let check = Command::new(&python).args(["-c", "import sklearn, skl2onnx"]).output();
    let able = check.is_ok_and(|output| output.status.success());
    assert!(
        able || named.is_none(),
        "HYPERFAKE_TEST_PYTHON is {python:?}, which cannot import sklearn and skl2onnx"
    );
    able.then_some(python)
}

/// Compares the answers with the lines of the text beside a model, each with eight numbers:
/// features, and what scikit-learn predicts. ONNX computes in single precision.
fn check(model: &Path, backend: &str) {
    let backends: [Arc<dyn Backend>; 3] =
        [Arc::new(DenseBackend), Arc::new(TreesBackend), Arc::new(TractBackend)];
    let loaded = Backends::new(backends).open(&ModelUri::from_path(model)).unwrap();
    let predictor = &loaded.models[0].predictor;
    assert_eq!(predictor.info().backend, backend, "{}: {:?}", model.display(), loaded.declined);
    let mut session = predictor.session().unwrap();
    let text = fs::read_to_string(model.with_extension("txt")).unwrap();
    assert!(text.lines().count() >= 10);
    for line in text.lines() {
        let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        let features = Features::from_array(*numbers.first_chunk().unwrap());
        let answer = session.predict(&features).unwrap().to_array();
        for (answer, expected) in answer.into_iter().zip(&numbers[5..]) {
            assert!(
                (answer - expected).abs() <= 1e-5 * expected.abs(),
                "{}: {answer}, {expected} for {features:?}",
                model.display()
            );
        }
    }
}

#[test]
fn the_committed_exports_answer_as_scikit_learn_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    for (name, backend) in [("forest", "trees"), ("boosting", "trees"), ("ridge", "dense")] {
        check(&folder.join(name).with_extension("onnx"), backend);
    }
}

#[test]
fn what_is_trained_and_exported_now_answers_as_scikit_learn_does() {
    let Some(python) = python() else {
        println!("skipped: no Python with scikit-learn and skl2onnx is found");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(python).arg(SCRIPT).arg(folder.path()).status().unwrap();
    assert!(status.success(), "{status}");
    let mut checked = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let model = entry.unwrap().path();
        if model.extension().is_some_and(|extension| extension == "onnx") {
            let name = model.file_stem().unwrap().to_string_lossy().into_owned();
            let linear = name.starts_with("ridge") || name.starts_with("linear");
            check(&model, if linear { "dense" } else { "trees" });
            checked += 1;
        }
    }
    assert_eq!(checked, 15);
}
