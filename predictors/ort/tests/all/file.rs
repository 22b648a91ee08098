use std::{path::PathBuf, sync::Arc};

use hyperfake_predictor::{Backend, Backends, Loaded, Predictor, Result};
use hyperfake_predictor_ort::{OrtBackend, find};
pub(crate) use hyperfake_predictor_testkit::File;
use hyperfake_predictor_tract::TractBackend;

/// The ONNX Runtime of this machine, without which a test is not run.
pub(crate) fn library() -> PathBuf {
    find(None).found.unwrap().path
}

/// A file as ONNX Runtime opens it.
pub(crate) trait Ort {
    fn open(&self) -> Result<Arc<dyn Predictor>>;
    fn refusal(&self) -> String;
}

impl Ort for File {
    fn open(&self) -> Result<Arc<dyn Predictor>> {
        OrtBackend::default().open(&self.uri())
    }

    fn refusal(&self) -> String {
        self.refusal_by(&OrtBackend::default())
    }
}

/// As the worker opens a file: tract is asked first.
pub(crate) fn open_registered(file: &File) -> Result<Loaded> {
    let backends: [Arc<dyn Backend>; 2] = [Arc::new(TractBackend), Arc::new(OrtBackend::default())];
    Backends::new(backends).open(&file.uri())
}
