//! Models whose outputs are quantiles.

use hyperfake_predictor::{Features, Levels, Output, Random, RawPrediction, Uniforms, normal};

use super::{LINEAR, Layer, Network, network::softplus};
use crate::onnx::{Dim, Model};

/// The levels of the models of this module, as a file states them.
pub const LEVELS: &str = "0.01,0.1,0.5,0.9,0.99";

/// How many there are.
const COUNT: usize = 5;

/// What [`LINEAR`] is multiplied by at each level.
const FACTORS: [f64; COUNT] = [0.5, 0.75, 1.0, 2.0, 8.0];

/// The normal score of each level, from a table.
const SCORES: [f64; COUNT] =
    [-2.326_347_874_040_841, -1.281_551_565_544_6, 0.0, 1.281_551_565_544_6, 2.326_347_874_040_841];

/// The mean factor: the sum of exp(line) times the density over the scores from -10 to 10, in steps of
/// 1/10,000.
const MEAN_FACTOR: f64 = 1.424_670_811;

/// [`LINEAR`] times a random factor, another one for each output, of which [`LEVELS`] are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scattered;

impl Scattered {
    /// The means, in double precision.
    #[must_use]
    pub fn predict(&self, features: &Features) -> RawPrediction {
        let answer = LINEAR.predict(features).to_array();
        RawPrediction::from_array(answer.map(|number| number * MEAN_FACTOR))
    }

    /// A draw, in double precision.
    #[must_use]
    pub fn draw(&self, features: &Features, uniforms: &Uniforms) -> RawPrediction {
        let factor = |level: f64| {
            // The outermost lines go on; at the ends there is no number.
            let score = normal::quantile(level.clamp(0.5_f64.powi(54), 1.0 - 0.5_f64.powi(53)));
            let next = SCORES.iter().position(|at| *at > score).unwrap_or(COUNT - 1).max(1);
            let way = (score - SCORES[next - 1]) / (SCORES[next] - SCORES[next - 1]);
            FACTORS[next - 1] * (FACTORS[next] / FACTORS[next - 1]).powf(way)
        };
        let answer = LINEAR.predict(features).to_array();
        let draw = |output: Output| answer[output as usize] * factor(uniforms.of(output));
        RawPrediction::from_array(Output::ALL.map(draw))
    }

    /// As one `Gemm` in single precision, from `input` `[batch,5]` to `output` `[batch,15]`. The
    /// quantiles stand in this order, which should be that of the levels, 0 to 4.
    #[must_use]
    pub fn to_onnx(&self, batch: Dim<'_>, order: [usize; COUNT]) -> Model {
        let (weights, intercepts) = self.rows(&Output::ALL, order);
        Model::new()
            .input("input", &[batch, Dim::Fixed(5)])
            .initializer("weights", &[15, 5], &weights)
            .initializer("intercepts", &[15], &intercepts)
            .node("Gemm", &["input", "weights", "intercepts"], &["output"], &[("transB", 1.into())])
            .output("output", &[batch, Dim::Fixed(15)])
            .metadata("hyperfake.quantiles", LEVELS)
    }

    /// The same with an output for each number, in the order in which they are named.
    #[must_use]
    pub fn to_onnx_in_three(&self) -> Model {
        let order = [0, 1, 2, 3, 4];
        let outputs = [Output::RamBytes, Output::RuntimeNs, Output::CpuCores];
        let model = Model::new().input("input", &[Dim::Fixed(1), Dim::Fixed(5)]);
        let model = model.metadata("hyperfake.quantiles", LEVELS);
        outputs.into_iter().fold(model, |model, output| {
            let (weights, intercepts) = self.rows(&[output], order);
            let (weights_name, bias_name) = (format!("{output}_weights"), format!("{output}_bias"));
            let inputs = ["input", &weights_name, &bias_name];
            model
                .initializer(&weights_name, &[5, 5], &weights)
                .initializer(&bias_name, &[5], &intercepts)
                .node("Gemm", &inputs, &[output.name()], &[("transB", 1.into())])
                .output(output.name(), &[Dim::Fixed(1), Dim::Fixed(5)])
        })
    }

    /// A row of weights and an intercept for each quantile of some outputs.
    fn rows(self, outputs: &[Output], order: [usize; COUNT]) -> (Vec<f32>, Vec<f32>) {
        let (mut weights, mut intercepts) = (Vec::new(), Vec::new());
        for output in outputs {
            for factor in order.map(|level| FACTORS[level]) {
                let row = LINEAR.weights[*output as usize];
                weights.extend(row.map(|weight| (weight * factor) as f32));
                intercepts.push((LINEAR.intercepts[*output as usize] * factor) as f32);
            }
        }
        (weights, intercepts)
    }
}

/// A feed-forward network with heads for the quantiles of each output: inputs are scaled, hidden
/// layers end in ReLU, and a softplus and a sum over the lower levels make quantiles that do not
/// cross.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantileNetwork {
    /// Of which the last layer is not used.
    hidden: Network,
    head: Layer,
}

/// What the quantiles of each output are multiplied by.
const SCALE: [f32; 3] = [4e6, 0.25, 1.6e7];

impl QuantileNetwork {
    /// A network with hidden layers of these sizes, at least one, and weights that look random.
    #[must_use]
    pub fn sample(hidden: &[usize], seed: u64) -> Self {
        let inputs = hidden.last().copied().unwrap_or_default();
        let bound = 1.0 / (inputs.max(1) as f64).sqrt();
        let mut random = Random::new(seed, 1);
        let mut draw = |count| -> Vec<f32> {
            (0..count).map(|_| (bound * (2.0 * random.fraction() - 1.0)) as f32).collect()
        };
        let head = Layer { weights: draw(3 * COUNT * inputs), biases: draw(3 * COUNT) };
        Self { hidden: Network::sample(hidden, seed), head }
    }

    /// The quantiles of each output, in double precision.
    #[must_use]
    pub fn quantiles(&self, features: &Features) -> [[f64; COUNT]; 3] {
        let mut values = features.to_array().to_vec();
        for (column, value) in values.iter_mut().enumerate() {
            let (mean, scale) = (self.hidden.input_mean[column], self.hidden.input_scale[column]);
            *value = (*value - f64::from(mean)) / f64::from(scale);
        }
        for layer in self.hidden() {
            values = layer.apply(&values);
            values.iter_mut().for_each(|value| *value = value.max(0.0));
        }
        let steps: Vec<_> = self.head.apply(&values).into_iter().map(softplus).collect();
        std::array::from_fn(|output| {
            let mut sum = 0.0;
            std::array::from_fn(|level| {
                sum += steps[output * COUNT + level];
                sum * f64::from(SCALE[output])
            })
        })
    }

    /// The means.
    #[must_use]
    pub fn predict(&self, features: &Features) -> RawPrediction {
        let levels = levels();
        let quantiles = self.quantiles(features);
        RawPrediction::from_array(quantiles.map(|quantiles| levels.mean(&quantiles)))
    }

    /// A draw.
    #[must_use]
    pub fn draw(&self, features: &Features, uniforms: &Uniforms) -> RawPrediction {
        let levels = levels();
        let quantiles = self.quantiles(features);
        let draw = |output: Output| levels.at(&quantiles[output as usize], uniforms.of(output));
        RawPrediction::from_array(Output::ALL.map(draw))
    }

    /// From `input` `[batch,5]` to `output` `[batch,15]`:
    /// Sub Div (Gemm Relu)* Gemm Softplus MatMul Mul.
    #[must_use]
    pub fn to_onnx(&self, batch: Dim<'_>) -> Model {
        let wide = 3 * COUNT;
        // A step counts for its own level and all above it.
        let mut sums = vec![0.0_f32; wide * wide];
        for step in 0..wide {
            for level in step..(step / COUNT + 1) * COUNT {
                sums[step * wide + level] = 1.0;
            }
        }
        let scale: Vec<_> = SCALE.into_iter().flat_map(|scale| [scale; COUNT]).collect();
        let mut model = Model::new()
            .metadata("hyperfake.quantiles", LEVELS)
            .input("input", &[batch, Dim::Fixed(5)])
            .initializer("input_mean", &[5], &self.hidden.input_mean)
            .initializer("input_scale", &[5], &self.hidden.input_scale)
            .node("Sub", &["input", "input_mean"], &["centred"], &[])
            .node("Div", &["centred", "input_scale"], &["scaled"], &[]);
        let mut values = "scaled".to_owned();
        let head = [&self.head];
        for (index, layer) in self.hidden().iter().chain(head).enumerate() {
            let (weights, biases) = (format!("weights_{index}"), format!("biases_{index}"));
            let (sums, active) = (format!("sums_{index}"), format!("active_{index}"));
            let outputs = layer.biases.len();
            let dims = [outputs as i64, (layer.weights.len() / outputs) as i64];
            let activation = if index < self.hidden().len() { "Relu" } else { "Softplus" };
            model = model
                .initializer(&weights, &dims, &layer.weights)
                .initializer(&biases, &dims[..1], &layer.biases)
                .node("Gemm", &[&values, &weights, &biases], &[&sums], &[("transB", 1.into())])
                .node(activation, &[&sums], &[&active], &[]);
            values = active;
        }
        model
            .initializer("sums_of_steps", &[wide as i64; 2], &sums)
            .initializer("scale", &[wide as i64], &scale)
            .node("MatMul", &[&values, "sums_of_steps"], &["sums"], &[])
            .node("Mul", &["sums", "scale"], &["output"], &[])
            .output("output", &[batch, Dim::Fixed(wide as i64)])
    }

    fn hidden(&self) -> &[Layer] {
        self.hidden.layers.split_last().map_or(&[], |(_, hidden)| hidden)
    }
}

#[expect(clippy::unwrap_used, reason = "a test may panic")]
fn levels() -> Levels {
    LEVELS.parse().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scattered_law_has_its_factor_at_each_level() {
        let idle = LINEAR.predict(&Features::IDLE);
        let levels = levels();
        for (level, factor) in levels.as_slice().iter().zip(FACTORS) {
            let drawn = Scattered.draw(&Features::IDLE, &Uniforms::same(*level));
            assert!((drawn.runtime_ns / idle.runtime_ns - factor).abs() < 1e-12);
        }
        let mean = Scattered.predict(&Features::IDLE).cpu_cores / idle.cpu_cores;
        assert!((mean - levels.mean(&FACTORS)).abs() < 1e-9, "{mean}");
    }

    #[test]
    fn the_quantiles_of_a_network_ascend_and_depend_on_the_features() {
        let network = QuantileNetwork::sample(&[8], 1);
        let [idle, busy] = [Features::IDLE, Features { active_calls: 90.0, ..Features::IDLE }]
            .map(|features| network.quantiles(&features));
        for quantiles in idle {
            assert!(quantiles.array_windows().all(|[low, high]| 0.0 < *low && low < high));
        }
        assert_ne!(idle, busy);
    }
}
