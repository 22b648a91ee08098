//! A model file as it was read: what both backends of this crate begin with.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hyperfake_predictor::{
    Error, ErrorKind, Feature, ModelInfo, ModelUri, Range, Result, Settings, Units, file,
};
use tract_onnx::{
    Onnx,
    data_resolver::FopenDataResolver,
    pb::{ModelProto, TensorProto},
    prelude::*,
    tensor::load_tensor,
};

use crate::{
    MAX_FILE_BYTES,
    graph::{self, Signature},
    operators,
};

/// A parsed file whose input and output have a shape that a worker can use.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) onnx: Onnx,
    pub(crate) model: ModelProto,
    pub(crate) signature: Signature,
    /// The model's inputs, in its order.
    pub(crate) columns: Vec<Feature>,
    pub(crate) trained: Vec<Option<Range>>,
    settings: Settings,
}

impl Source {
    /// Reads a file; its errors do not name it, except those of [`file::read`].
    pub(crate) fn read(uri: &ModelUri, bytes: &[u8]) -> Result<Self> {
        let path = uri.path();
        let mut onnx = tract_onnx::onnx();
        operators::replace(&mut onnx.op_register);
        // A mapped file that somebody cuts short would end the process.
        onnx.provider = Arc::new(FopenDataResolver);
        // Sizes in between may be written for another batch size; tract works them out anyway.
        let onnx = onnx.with_ignore_value_info(true);
        let model = onnx.proto_model_for_read(&mut &*bytes).map_err(|error| {
            Error::new(ErrorKind::Invalid, "not an ONNX model").with_source(error)
        })?;
        let signature = Signature::of(&model, path.parent())?;
        let settings = Settings::read(uri, graph::settings(&model))?;
        let columns = settings.features(signature.columns)?;
        let path = path.to_owned();
        let mut source =
            Self { path, onnx, model, signature, columns, trained: Vec::new(), settings };
        source.trained = source.trained_ranges().unwrap_or_default();
        Ok(source)
    }

    /// The bytes of the file that a URI names.
    pub(crate) fn bytes(uri: &ModelUri) -> Result<Vec<u8>> {
        file::read(uri.path(), MAX_FILE_BYTES)
    }

    /// What is said about the model, with the backend that serves it.
    pub(crate) fn info(&self, backend: &'static str) -> ModelInfo {
        ModelInfo {
            path: self.path.clone(),
            backend,
            inputs: self.columns.clone(),
            units: Units::NATIVE,
            trained: self.trained.clone(),
            deterministic: true,
            settings: self.settings.clone().into_map(),
        }
    }

    /// The folder that external data is relative to, as tract takes it.
    pub(crate) fn folder(&self) -> Option<&str> {
        self.path.parent().and_then(Path::to_str)
    }

    /// The values of a constant, wherever the file keeps them.
    pub(crate) fn tensor(&self, tensor: &TensorProto) -> TractResult<Tensor> {
        load_tensor(&*self.onnx.provider, tensor, self.folder())
    }

    /// Around the scaler that training leaves in a file, if there is one: initializers called
    /// `input_mean` and `input_scale`, with a number for each column.
    fn trained_ranges(&self) -> Option<Vec<Option<Range>>> {
        let initializers = &self.model.graph.as_ref()?.initializer;
        let numbers = |name: &str| -> Option<Vec<f64>> {
            let found = initializers.iter().find(|tensor| tensor.name == name)?;
            let tensor = self.tensor(found).ok()?.cast_to::<f64>().ok()?.into_owned();
            let values = tensor.as_plain_ram()?.as_slice::<f64>().ok()?.to_vec();
            (values.len() == self.columns.len()).then_some(values)
        };
        let ranges = numbers("input_mean")?.into_iter().zip(numbers("input_scale")?);
        Some(ranges.map(|(mean, scale)| Range::around(mean, scale)).collect())
    }
}
