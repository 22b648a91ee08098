//! Predictors from safetensors files, run by [candle](https://github.com/huggingface/candle).
//!
//! A file serves that holds a PyTorch `Sequential` of linear layers, of any depth and width, as
//! `state_dict()` names them:
//!
//! | tensor | shape | |
//! |---|---|---|
//! | `model.0.weight` | `[outputs, inputs]` | the first layer; 1 to 5 inputs |
//! | `model.0.bias` | `[outputs]` | all layers have one, or none has |
//! | `model.3.weight` … | `[outputs, inputs]` | the layers go by their number, gaps are other modules |
//! | `input_mean` | `[inputs]` | subtracted from the inputs; 0 if it is missing |
//! | `input_scale` | `[inputs]` | what the inputs are then divided by; 1 if it is missing |
//! | `output_scale` | `[3]` | what the last layer's outputs are multiplied by; 1 if it is missing |
//! | `output_mean` | `[3]` | what is then added; 0 if it is missing |
//!
//! Instead of `model` there may be any prefix or none, but it is the same for all layers. The last
//! layer has three outputs: nanoseconds, cores, bytes. Numbers are F32, F64, F16 or BF16 and are
//! computed with as F32. Any other tensor is refused, because it would belong to a module that
//! this backend would leave out.
//!
//! A state dict does not say which functions are between the layers, so the file's metadata does:
//!
//! | key | value | without it |
//! |---|---|---|
//! | `hyperfake.activation` | after each layer but the last: a name of [`Activation`] | `relu` |
//! | `hyperfake.output_activation` | after the output is scaled back | `softplus` |
//! | `hyperfake.layers` | how many layers there are | a layer that seems to be missing is refused |
//! | `hyperfake.NAME` | the setting `NAME` | |
//!
//! The inputs are all five features in the order of [`Feature::ALL`], or those that the setting
//! `features` names. With both `input_mean` and `input_scale` the model says what it was trained
//! on: [`Range::around`] each mean.
//!
//! ```python
//! tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
//! tensors |= {"input_mean": mean, "input_scale": scale}
//! safetensors.torch.save_file(tensors, "echo.safetensors", {"hyperfake.activation": "tanh"})
//! ```
//!
//! [`Feature::ALL`]: hyperfake_predictor::Feature::ALL
//! [`Range::around`]: hyperfake_predictor::Range::around

mod activation;
mod contents;
mod layers;
mod network;

use std::sync::Arc;

use candle_core::Tensor;
use hyperfake_predictor::{
    Backend, Error, Feature, Features, Formats, ModelInfo, ModelUri, Predictor, RawPrediction,
    Result, Session, Settings, Units, file,
};

pub use crate::activation::Activation;
use crate::{contents::Contents, network::Network};

/// Larger files are refused: 256 MiB, far more than a model of five inputs and three outputs
/// needs.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Opens `.safetensors` files; chosen with `candle:`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CandleBackend;

impl Backend for CandleBackend {
    fn formats(&self) -> &'static Formats {
        &Formats { name: "candle", schemes: &["candle"], extensions: &["safetensors"] }
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let path = uri.path();
        let bytes = file::read(path, MAX_FILE_BYTES)?;
        self.load(&bytes, uri).map_err(|error| error.at(path.display()))
    }
}

impl CandleBackend {
    fn load(&self, bytes: &[u8], uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let mut contents = Contents::parse(bytes)?;
        let network = Network::take(&mut contents)?;
        let settings = Settings::read(uri, contents.settings)?;
        settings.refuse("quantiles", "a network of this format answers with three numbers")?;
        let inputs = settings.features(network.inputs())?;
        let info = ModelInfo {
            path: uri.path().to_owned(),
            backend: self.formats().name,
            units: Units::NATIVE,
            trained: network.trained()?,
            deterministic: true,
            knows_distributions: false,
            inputs,
            settings: settings.into_map(),
        };
        let predictor = CandlePredictor { info: Arc::new(info), network: Arc::new(network) };
        // As proof that it works.
        predictor.session()?.predict(&Features::IDLE)?;
        Ok(Arc::new(predictor))
    }
}

#[derive(Debug)]
struct CandlePredictor {
    info: Arc<ModelInfo>,
    network: Arc<Network>,
}

impl Predictor for CandlePredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(CandleSession {
            info: Arc::clone(&self.info),
            network: Arc::clone(&self.network),
        }))
    }
}

/// candle's tensors are shared and every operation makes a new one: there is nothing to keep.
struct CandleSession {
    info: Arc<ModelInfo>,
    network: Arc<Network>,
}

impl Session for CandleSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        let mut row = [0.0; Feature::ALL.len()];
        let row = &mut row[..self.info.inputs.len()];
        for (value, feature) in row.iter_mut().zip(&self.info.inputs) {
            *value = features.value(*feature) as f32;
        }
        self.network.run(row).and_then(|output| answer(&output)).map_err(|error| {
            Error::internal("candle cannot run the network")
                .with_source(error)
                .at(self.info.path.display())
        })
    }
}

fn answer(output: &Tensor) -> candle_core::Result<RawPrediction> {
    let values = output.to_vec1::<f32>()?;
    match values[..] {
        [runtime, cpu, ram] => Ok(RawPrediction::from_array([runtime, cpu, ram].map(f64::from))),
        _ => candle_core::bail!("found {} outputs, expected 3", values.len()),
    }
}
