//! Models of scikit-learn, exported by `tests/python/export_sklearn.py`.

use std::{env, ffi::OsString, fs, path::Path, process::Command};

use std::sync::Arc;

use hyperfake_predictor::{Backend, Backends, Features, ModelUri};

use hyperfake_predictor_ort::OrtBackend;
use hyperfake_predictor_tract::TractBackend;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/python/export_sklearn.py");

/// A Python that can run the script: the one that `HYPERFAKE_TEST_PYTHON` names, which must be
/// able to, or `python3`, if it is.
pub(crate) fn python() -> Option<OsString> {
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

/// Eight numbers a line: features, and what scikit-learn predicts.
fn check(model: &Path) {
    let backends: [Arc<dyn Backend>; 2] = [Arc::new(TractBackend), Arc::new(OrtBackend::default())];
    let loaded = Backends::new(backends).open(&ModelUri::from_path(model)).unwrap();
    let predictor = &loaded.models[0].predictor;
    assert_eq!(predictor.info().backend, "ort");
    let reason = loaded.declined[0].error.to_string();
    assert!(reason.contains("tract does not support the operator"), "{reason}");
    let mut session = predictor.session().unwrap();
    for line in fs::read_to_string(model.with_extension("txt")).unwrap().lines() {
        let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        let features = Features::from_array(*numbers.first_chunk().unwrap());
        let answer = session.predict(&features).unwrap().to_array();
        for (answer, expected) in answer.into_iter().zip(&numbers[5..]) {
            assert!((answer - expected).abs() <= 1e-5 * expected.abs(), "{answer}, {expected}");
        }
    }
}

pub(crate) fn a_forest_of_scikit_learn_and_boosted_trees_answer_as_in_python() {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(python().unwrap()).arg(SCRIPT).arg(folder.path()).status().unwrap();
    assert!(status.success(), "{status}");
    for name in ["forest", "boosting"] {
        check(&folder.path().join(name).with_extension("onnx"));
    }
}
