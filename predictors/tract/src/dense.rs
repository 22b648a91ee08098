use std::sync::Arc;

use hyperfake_predictor::{
    Backend, ErrorKind, Feature, Features, Formats, ModelInfo, ModelUri, Predictor, RawPrediction,
    Result, Session,
};
use hyperfake_predictor_dense::{Isa, Network, Runner};
use hyperfake_predictor_onnx::{Engine, QuantileSession, Signature};

use crate::{lower, open, read, session::TractSession, verify, without_panic};

/// Opens the `.onnx` files that hold a plain feed-forward network, and runs them with a kernel
/// of our own; chosen with `dense:`.
///
/// The network may consist of affine steps (`Add`, `Sub`, `Mul`, `Div` with constants), dense
/// layers (`Gemm`, `MatMul`), `BatchNormalization`, activations (`Relu`, `LeakyRelu`, `Elu`,
/// `Tanh`, `Sigmoid`, `Exp`, `Softplus`, `Clip`, and `Softplus` with `Greater` and `Where` as PyTorch
/// writes it), and what does nothing (`Identity`, `Dropout`, `Cast`, `Flatten`, `Reshape`), one
/// after the other, with up to a million multiplications. What it computes is compared with tract
/// when the file is opened; another graph, or an answer that differs, is an `Unsupported` error
/// that says where and why.
///
/// A feature that is NaN makes every answer NaN, as it should; in tract a rectifier turns it
/// into 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct DenseBackend;

impl Backend for DenseBackend {
    fn formats(&self) -> &'static Formats {
        &Formats { name: "dense", schemes: &["dense"], extensions: &["onnx"] }
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let file = read(uri)?;
        let load = || {
            let lowered = lower::network(&file)?;
            let isa = Isa::detect();
            let mut tract = TractSession::new(open::open(&file)?)?;
            verify::check(&file, &lowered, &mut lowered.network.runner(isa), &mut tract)?;
            Ok(DensePredictor {
                info: file.info(self.formats().name),
                network: lowered.network,
                isa,
                columns: lowered.columns.into(),
                signature: Arc::new(file.signature.clone()),
            })
        };
        let predictor = without_panic(ErrorKind::Invalid, load)
            .map_err(|error| error.at(uri.path().display()))?;
        Ok(Arc::new(predictor))
    }
}

#[derive(Debug)]
struct DensePredictor {
    info: ModelInfo,
    network: Network,
    isa: Isa,
    columns: Arc<[Feature]>,
    signature: Arc<Signature>,
}

impl Predictor for DensePredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn agrees_with(&self) -> Option<&'static str> {
        Some("tract")
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let (runner, columns) = (self.network.runner(self.isa), Arc::clone(&self.columns));
        let outputs = vec![0.0; self.network.outputs()];
        let engine = DenseEngine { runner, columns, inputs: [0.0; 5], outputs };
        let session: Box<dyn Session> = match QuantileSession::new(engine, &self.signature) {
            Ok(session) => Box::new(session),
            Err(DenseEngine { runner, columns, .. }) => Box::new(DenseSession {
                runner,
                columns,
                signature: Arc::clone(&self.signature),
                inputs: [0.0; CHUNK * 5],
                outputs: [0.0; CHUNK * 3],
            }),
        };
        Ok(session)
    }
}

/// Runs a network of any number of outputs, for a model whose outputs are quantiles.
struct DenseEngine {
    runner: Runner,
    columns: Arc<[Feature]>,
    inputs: [f32; 5],
    outputs: Vec<f32>,
}

impl Engine for DenseEngine {
    fn run(&mut self, features: &Features, numbers: &mut [f64]) -> Result<()> {
        let inputs = &mut self.inputs[..self.columns.len()];
        fill(inputs, &self.columns, features);
        self.runner.run(inputs, &mut self.outputs);
        for (number, output) in numbers.iter_mut().zip(&self.outputs) {
            *number = f64::from(*output);
        }
        Ok(())
    }
}

/// The rows of a batch that are converted at once.
const CHUNK: usize = 64;

struct DenseSession {
    runner: Runner,
    columns: Arc<[Feature]>,
    signature: Arc<Signature>,
    inputs: [f32; CHUNK * 5],
    outputs: [f32; CHUNK * 3],
}

impl Session for DenseSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        let mut outputs = [0.0; 3];
        let inputs = &mut self.inputs[..self.columns.len()];
        fill(inputs, &self.columns, features);
        self.runner.run(inputs, &mut outputs);
        Ok(self.signature.prediction(outputs.map(f64::from)))
    }

    fn predict_batch(&mut self, features: &[Features], out: &mut [RawPrediction]) -> Result<()> {
        debug_assert_eq!(features.len(), out.len());
        let columns = self.columns.len();
        for (features, out) in features.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            let inputs = &mut self.inputs[..features.len() * columns];
            for (row, features) in inputs.chunks_exact_mut(columns).zip(features) {
                fill(row, &self.columns, features);
            }
            let outputs = &mut self.outputs[..features.len() * 3];
            self.runner.run_batch(inputs, outputs);
            for (out, row) in out.iter_mut().zip(outputs.as_chunks::<3>().0) {
                *out = self.signature.prediction(row.map(f64::from));
            }
        }
        Ok(())
    }
}

/// The features that the network takes, in single precision, as tract is given them.
fn fill(row: &mut [f32], columns: &[Feature], features: &Features) {
    let values = features.to_array();
    for (value, column) in row.iter_mut().zip(columns) {
        *value = values[*column as usize] as f32;
    }
}
