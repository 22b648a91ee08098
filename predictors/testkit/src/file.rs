use std::{fs, path::PathBuf, sync::Arc};

use hyperfake_predictor::{
    Backend, Backends, Features, ModelUri, Predictor, RawPrediction, Result,
};
use tempfile::TempDir;

use crate::onnx::Model;

/// A model file in a folder of its own, for tests of a backend.
#[derive(Debug)]
pub struct File {
    /// Removed with its files when this is dropped.
    pub folder: TempDir,
    /// The file.
    pub path: PathBuf,
}

#[expect(clippy::unwrap_used, reason = "a test may panic")]
#[allow(clippy::missing_panics_doc, reason = "every function of a test panics when it fails")]
impl File {
    /// An ONNX file.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        Self::of_bytes("model.onnx", &model.to_bytes())
    }

    /// A file with this name and contents.
    #[must_use]
    pub fn of_bytes(name: &str, bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        Self { folder, path }
    }

    /// The file as a URI.
    #[must_use]
    pub fn uri(&self) -> ModelUri {
        ModelUri::from_path(&self.path)
    }

    /// The file with parameters, as in `features=request_bytes`.
    #[must_use]
    pub fn uri_with(&self, parameters: &str) -> ModelUri {
        format!("{}?{parameters}", self.path.display()).parse().unwrap()
    }

    /// The model, opened by the backend itself.
    #[must_use]
    pub fn open_with(&self, backend: &dyn Backend) -> Arc<dyn Predictor> {
        backend.open(&self.uri()).unwrap()
    }

    /// The model as the worker opens it with these backends.
    ///
    /// # Errors
    ///
    /// Those of [`Backends::open`].
    pub fn open_registered(&self, backends: &[Arc<dyn Backend>]) -> Result<Arc<dyn Predictor>> {
        let mut loaded = Backends::new(backends.iter().cloned()).open(&self.uri())?;
        Ok(loaded.models.remove(0).predictor)
    }

    /// One answer.
    #[must_use]
    pub fn predict_with(&self, backend: &dyn Backend, features: &Features) -> RawPrediction {
        self.open_with(backend).session().unwrap().predict(features).unwrap()
    }

    /// Why the file is not opened, in one line, without the path that it begins with.
    #[must_use]
    pub fn refusal_by(&self, backend: &dyn Backend) -> String {
        let text = backend.open(&self.uri()).unwrap_err().to_string();
        assert!(!text.contains('\n'), "{text}");
        let prefix = format!("{}: ", self.path.display());
        text.strip_prefix(&prefix).unwrap_or_else(|| panic!("no {prefix} in {text}")).to_owned()
    }
}
