use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hyperfake_predictor::{
    Backend, Backends, Features, Loaded, ModelUri, Predictor, RawPrediction, Result,
};
use hyperfake_predictor_ort::{OrtBackend, find};
use hyperfake_predictor_testkit::onnx::Model;
use hyperfake_predictor_tract::TractBackend;
use tempfile::TempDir;

/// Whether there is an ONNX Runtime; if not, says that a test is skipped, which is a failure where
/// everything has to be tested.
pub(crate) fn runtime(test: &str) -> Option<PathBuf> {
    let search = find(None);
    if search.found.is_none() {
        assert!(std::env::var_os("HYPERFAKE_TEST_ALL").is_none(), "{}", search.error());
        println!("skipped {test}: {}", search.error());
    }
    search.found.map(|found| found.path)
}

/// A model in a folder of its own.
pub(crate) struct File {
    /// Held so that it is removed at the end.
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn of(model: &Model) -> Self {
        Self::of_bytes("model.onnx", &model.to_bytes())
    }

    pub(crate) fn of_bytes(name: &str, bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Self { folder, path }
    }

    pub(crate) fn uri(&self) -> ModelUri {
        ModelUri::from_path(&self.path)
    }

    pub(crate) fn open(&self) -> Result<Arc<dyn Predictor>> {
        OrtBackend::default().open(&self.uri())
    }

    pub(crate) fn predict(&self, features: &Features) -> RawPrediction {
        self.open().unwrap().session().unwrap().predict(features).unwrap()
    }

    /// Why the file is not opened, after its path.
    pub(crate) fn refusal(&self) -> String {
        let text = self.open().unwrap_err().to_string();
        assert!(!text.contains('\n'), "{text}");
        let prefix = format!("{}: ", self.path.display());
        text.strip_prefix(&prefix).unwrap_or_else(|| panic!("no {prefix} in {text}")).to_owned()
    }
}

/// As the worker opens a file: tract is asked first.
pub(crate) fn open_registered(path: &Path) -> Result<Loaded> {
    let backends: [Arc<dyn Backend>; 2] = [Arc::new(TractBackend), Arc::new(OrtBackend::default())];
    Backends::new(backends).open(&ModelUri::from_path(path))
}
