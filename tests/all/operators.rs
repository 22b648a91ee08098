//! `hyperfake models check` over hundreds of models of one operator each, which
//! `tests/onnx/generate.py` writes.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{program::hyperfake, support::repository};

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

/// Every fourth of the generated models, which are sorted by operator.
fn models(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    files.sort();
    files.into_iter().step_by(4).collect()
}

#[test]
fn the_backends_agree_on_hundreds_of_generated_models_or_decline_them() {
    let Some(python) = python() else {
        println!("skipped: no Python with numpy and onnx is found");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(python)
        .args(["-B", "tests/onnx/generate.py"])
        .arg(folder.path())
        .current_dir(repository(""))
        .status();
    assert!(status.unwrap().success());
    let files = models(folder.path());
    assert!(files.len() >= 200, "{} models", files.len());
    let output = hyperfake().args(["models", "check", "--json"]).args(&files).output().unwrap();
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(findings.len(), files.len());
    let mut ran = BTreeMap::new();
    let mut wrong = Vec::new();
    for finding in &findings {
        let models = finding["models"].as_array().unwrap();
        for run in models.iter().flat_map(|model| model["backends"].as_array().unwrap()) {
            if run["declined"].is_null() {
                *ran.entry(run["backend"].as_str().unwrap()).or_insert(0) += 1;
            }
        }
        // Without ONNX Runtime some are declined by all.
        if !models.is_empty() && finding["problems"] != serde_json::json!([]) {
            wrong.push(format!("{}: {}", finding["file"], finding["problems"]));
        }
    }
    println!("of {} models: {ran:?}", files.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ran["tract"] >= 200 && ran["dense"] >= 10, "{ran:?}");
}
