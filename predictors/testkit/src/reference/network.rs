use std::collections::BTreeMap;

use hyperfake_predictor::{Features, Random, RawPrediction};
use safetensors::{Dtype, tensor::TensorView};

use crate::onnx::{Dim, Model};

/// A feed-forward network of the shape that is common in the field: inputs are scaled, hidden
/// layers end in ReLU, outputs are scaled back and made positive by a softplus.
///
/// Every number fits single precision, so that a file holds exactly this network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Subtracted from the inputs.
    pub input_mean: [f32; 5],
    /// What the inputs are then divided by.
    pub input_scale: [f32; 5],
    /// At least one; the last has three outputs and no ReLU.
    pub layers: Vec<Layer>,
    /// What the last layer's outputs are multiplied by.
    pub output_scale: [f32; 3],
    /// What is then added.
    pub output_mean: [f32; 3],
}

/// A dense layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// `[outputs, inputs]`, row by row.
    pub weights: Vec<f32>,
    /// One for each output.
    pub biases: Vec<f32>,
}

/// Above it a softplus is the identity in single precision, and its `exp` would overflow.
const SOFTPLUS_THRESHOLD: f32 = 20.0;

impl Network {
    /// A network with hidden layers of these sizes and weights that look random. It answers
    /// around 4 ms, 1 core and 32 MB.
    #[must_use]
    pub fn sample(hidden: &[usize], seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let mut inputs = 5;
        let layers = hidden.iter().copied().chain([3]).map(|outputs| {
            let bound = 1.0 / (inputs as f64).sqrt();
            let mut draw = |count| -> Vec<f32> {
                (0..count).map(|_| (bound * (2.0 * random.fraction() - 1.0)) as f32).collect()
            };
            let layer = Layer { weights: draw(outputs * inputs), biases: draw(outputs) };
            inputs = outputs;
            layer
        });
        Self {
            input_mean: [5e5, 20.0, 50.0, 16.0, 8e9],
            input_scale: [3e5, 12.0, 30.0, 9.0, 5e9],
            layers: layers.collect(),
            output_scale: [8e5, 0.5, 6e6],
            output_mean: [4e6, 1.0, 3.2e7],
        }
    }

    /// The answer, in double precision.
    #[must_use]
    pub fn predict(&self, features: &Features) -> RawPrediction {
        let mut values = features.to_array().to_vec();
        for (column, value) in values.iter_mut().enumerate() {
            *value =
                (*value - f64::from(self.input_mean[column])) / f64::from(self.input_scale[column]);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            values = layer.apply(&values);
            if index + 1 < self.layers.len() {
                values.iter_mut().for_each(|value| *value = value.max(0.0));
            }
        }
        let mut outputs = [0.0; 3];
        for (column, output) in outputs.iter_mut().enumerate() {
            *output = softplus(
                values[column] * f64::from(self.output_scale[column])
                    + f64::from(self.output_mean[column]),
            );
        }
        RawPrediction::from_array(outputs)
    }

    /// From `input` `[1,5]` to `output` `[1,3]`, with the nodes that PyTorch's exporter writes:
    /// Sub Div Gemm (Relu Gemm)* Mul Add Softplus Greater Where.
    #[must_use]
    pub fn to_onnx(&self) -> Model {
        self.to_onnx_with(Dim::Fixed(1))
    }

    /// As [`Network::to_onnx`], with another batch dimension.
    #[must_use]
    pub fn to_onnx_with(&self, batch: Dim<'_>) -> Model {
        let mut model = Model::new()
            .input("input", &[batch, Dim::Fixed(5)])
            .initializer("input_mean", &[5], &self.input_mean)
            .initializer("input_scale", &[5], &self.input_scale)
            .node("Sub", &["input", "input_mean"], &["centred"], &[])
            .node("Div", &["centred", "input_scale"], &["scaled"], &[]);
        let mut values = "scaled".to_owned();
        for (index, layer) in self.layers.iter().enumerate() {
            let (weights, biases) = (format!("weights_{index}"), format!("biases_{index}"));
            let (sums, active) = (format!("sums_{index}"), format!("active_{index}"));
            let outputs = layer.biases.len();
            let dims = [outputs as i64, (layer.weights.len() / outputs) as i64];
            model = model
                .initializer(&weights, &dims, &layer.weights)
                .initializer(&biases, &dims[..1], &layer.biases)
                .node("Gemm", &[&values, &weights, &biases], &[&sums], &[("transB", 1.into())]);
            values = sums;
            if index + 1 < self.layers.len() {
                model = model.node("Relu", &[&values], &[&active], &[]);
                values = active;
            }
        }
        model
            .initializer("output_scale", &[3], &self.output_scale)
            .initializer("output_mean", &[3], &self.output_mean)
            .initializer("threshold", &[], &[SOFTPLUS_THRESHOLD])
            .node("Mul", &[&values, "output_scale"], &["unscaled"], &[])
            .node("Add", &["unscaled", "output_mean"], &["linear"], &[])
            .node("Softplus", &["linear"], &["positive"], &[])
            .node("Greater", &["linear", "threshold"], &["large"], &[])
            .node("Where", &["large", "linear", "positive"], &["output"], &[])
            .output("output", &[batch, Dim::Fixed(3)])
    }

    /// As PyTorch would save it: the layers are 3 apart, with their activation and a dropout between
    /// them.
    ///
    /// # Panics
    ///
    /// When a layer's weights are not one for each input and output.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "a test may panic")]
    pub fn to_safetensors(&self) -> Vec<u8> {
        let mut tensors = BTreeMap::new();
        let mut add = |name: String, shape: Vec<usize>, values: &[f32]| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.insert(name, (shape, bytes));
        };
        add("input_mean".into(), vec![5], &self.input_mean);
        add("input_scale".into(), vec![5], &self.input_scale);
        add("output_scale".into(), vec![3], &self.output_scale);
        add("output_mean".into(), vec![3], &self.output_mean);
        for (index, layer) in self.layers.iter().enumerate() {
            let outputs = layer.biases.len();
            let shape = vec![outputs, layer.weights.len() / outputs];
            add(format!("model.{}.weight", 3 * index), shape, &layer.weights);
            add(format!("model.{}.bias", 3 * index), vec![outputs], &layer.biases);
        }
        let views = tensors.iter().map(|(name, (shape, bytes))| {
            (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }
}

impl Layer {
    pub(super) fn apply(&self, inputs: &[f64]) -> Vec<f64> {
        let rows = self.weights.chunks(inputs.len());
        rows.zip(&self.biases)
            .map(|(row, bias)| {
                let sum: f64 = row.iter().zip(inputs).map(|(w, x)| f64::from(*w) * x).sum();
                sum + f64::from(*bias)
            })
            .collect()
    }
}

pub(super) fn softplus(value: f64) -> f64 {
    if value > f64::from(SOFTPLUS_THRESHOLD) { value } else { value.exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_network_worked_out_by_hand() {
        let network = Network {
            input_mean: [1.0, 0.0, 0.0, 0.0, 0.0],
            input_scale: [2.0, 1.0, 1.0, 1.0, 1.0],
            layers: vec![
                Layer {
                    weights: vec![1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0],
                    biases: vec![0.5, 0.5],
                },
                Layer { weights: vec![1.0, 9.0, 1.0, 0.0, 2.0, 0.0], biases: vec![0.0, 0.0, 1.0] },
            ],
            output_scale: [100.0, 1.0, 10.0],
            output_mean: [0.0, -3.5, 5.0],
        };
        // (7 - 1) / 2 = 3; the hidden layer gives 3.5 and 0.
        let answer = network.predict(&Features::from_array([7.0, 0.0, 0.0, 0.0, 0.0]));
        assert_eq!(answer.to_array(), [350.0, 2.0_f64.ln(), 85.0]);
    }

    #[test]
    fn a_sample_network_gives_answers_in_its_range_that_depend_on_the_features() {
        let network = Network::sample(&[16, 16], 3);
        let answers: Vec<_> = samples::ordinary().iter().map(|f| network.predict(f)).collect();
        for answer in &answers {
            assert!((1e6..1e7).contains(&answer.runtime_ns), "{answer:?}");
            assert!((0.05..4.0).contains(&answer.cpu_cores), "{answer:?}");
            assert!((1e7..1e8).contains(&answer.ram_bytes), "{answer:?}");
        }
        assert!(answers.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
