use std::{path::PathBuf, sync::Arc};

use hyperfake_predictor::{
    Backend, Backends, Features, ModelUri, Predictor, RawPrediction, Result,
};
use hyperfake_predictor_testkit::onnx::Model;
use hyperfake_predictor_tract::TractBackend;
use tempfile::TempDir;

/// A model in a folder of its own.
pub(crate) struct File {
    /// Held so that it is removed at the end.
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn of(model: &Model) -> Self {
        Self::of_bytes(&model.to_bytes())
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, bytes).unwrap();
        Self { folder, path }
    }

    pub(crate) fn uri(&self) -> ModelUri {
        ModelUri::from_path(&self.path)
    }

    /// The file with parameters, as in `features=request_bytes`.
    pub(crate) fn uri_with(&self, parameters: &str) -> ModelUri {
        format!("{}?{parameters}", self.path.display()).parse().unwrap()
    }

    pub(crate) fn open(&self) -> Result<Arc<dyn Predictor>> {
        TractBackend.open(&self.uri())
    }

    pub(crate) fn predict(&self, features: &Features) -> RawPrediction {
        self.open().unwrap().session().unwrap().predict(features).unwrap()
    }

    /// Why the file is not opened, after its path.
    pub(crate) fn refusal(&self) -> String {
        let error = self.open_registered().unwrap_err();
        assert_eq!(error.to_string(), self.open().unwrap_err().to_string());
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        let prefix = format!("{}: ", self.path.display());
        text.strip_prefix(&prefix).unwrap_or_else(|| panic!("no {prefix} in {text}")).to_owned()
    }

    /// As the worker opens it.
    pub(crate) fn open_registered(&self) -> Result<Arc<dyn Predictor>> {
        let backend: Arc<dyn Backend> = Arc::new(TractBackend);
        let mut loaded = Backends::new([backend]).open(&self.uri())?;
        Ok(loaded.models.remove(0).predictor)
    }
}
