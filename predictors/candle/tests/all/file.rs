use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use hyperfake_predictor::{
    Backend, Backends, Features, ModelUri, Predictor, RawPrediction, Result,
};
use hyperfake_predictor_candle::CandleBackend;
use hyperfake_predictor_testkit::reference::Network;
use safetensors::{Dtype, tensor::TensorView};
use tempfile::TempDir;

/// A safetensors file in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
    metadata: HashMap<String, String>,
}

impl Model {
    /// A network as PyTorch would save it: the layers are 3 apart, with their activation and a
    /// dropout between them.
    pub(crate) fn of(network: &Network) -> Self {
        let mut model = Self::default()
            .tensor("input_mean", &[5], &network.input_mean)
            .tensor("input_scale", &[5], &network.input_scale)
            .tensor("output_scale", &[3], &network.output_scale)
            .tensor("output_mean", &[3], &network.output_mean);
        for (index, layer) in network.layers.iter().enumerate() {
            let outputs = layer.biases.len();
            let inputs = layer.weights.len() / outputs;
            let name = format!("model.{}", 3 * index);
            model = model
                .tensor(&format!("{name}.weight"), &[outputs, inputs], &layer.weights)
                .tensor(&format!("{name}.bias"), &[outputs], &layer.biases);
        }
        model
    }

    /// Adds a tensor or replaces it.
    pub(crate) fn tensor(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor_of(Dtype::F32, name, shape, bytes)
    }

    pub(crate) fn tensor_of(
        mut self,
        dtype: Dtype,
        name: &str,
        shape: &[usize],
        bytes: Vec<u8>,
    ) -> Self {
        self.tensors.insert(name.to_owned(), (dtype, shape.to_vec(), bytes));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.tensors.remove(name).unwrap();
        self
    }

    pub(crate) fn renamed(mut self, rename: impl Fn(&str) -> String) -> Self {
        self.tensors =
            self.tensors.into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect();
        self
    }

    pub(crate) fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, (dtype, shape, bytes))| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize(views, Some(self.metadata.clone())).unwrap()
    }
}

/// A model in a folder of its own.
pub(crate) struct File {
    /// Held so that it is removed at the end.
    _folder: TempDir,
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn of(model: &Model) -> Self {
        Self::of_bytes(&model.to_bytes())
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, bytes).unwrap();
        Self { _folder: folder, path }
    }

    pub(crate) fn uri(&self) -> ModelUri {
        ModelUri::from_path(&self.path)
    }

    pub(crate) fn predict(&self, features: &Features) -> RawPrediction {
        let model = CandleBackend.open(&self.uri()).unwrap();
        model.session().unwrap().predict(features).unwrap()
    }

    /// Why the file is not opened, after its path.
    pub(crate) fn refusal(&self) -> String {
        let text = self.open_registered().unwrap_err().to_string();
        assert!(!text.contains('\n'), "{text}");
        let prefix = format!("{}: ", self.path.display());
        text.strip_prefix(&prefix).unwrap_or_else(|| panic!("no {prefix} in {text}")).to_owned()
    }

    /// As the worker opens it.
    pub(crate) fn open_registered(&self) -> Result<Arc<dyn Predictor>> {
        let backend: Arc<dyn Backend> = Arc::new(CandleBackend);
        let mut loaded = Backends::new([backend]).open(&self.uri())?;
        Ok(loaded.models.remove(0).predictor)
    }
}
