//! Functions with known answers, and the ONNX files that compute them.

mod network;
mod quantiles;

use hyperfake_predictor::{Features, RawPrediction};

pub use self::{
    network::{Layer, Network},
    quantiles::{LEVELS, QuantileNetwork, Scattered},
};
use crate::onnx::{Dim, Model};

/// The same answer to everything: 1.5 ms, a quarter of a core, 64 MiB.
pub const CONSTANT: Linear =
    Linear { weights: [[0.0; 5]; 3], intercepts: [1.5e6, 0.25, 67_108_864.0] };

/// An answer to which every feature adds its share. The coefficients are positive, so that
/// single precision loses nothing to cancellation.
pub const LINEAR: Linear = Linear {
    weights: [
        [120.0, 3e4, 2.5e5, 1e5, 1.25e-4],
        [1.5e-6, 2e-3, 1e-2, 3e-2, 1e-12],
        [2.5, 1e4, 4e5, 2e4, 1e-3],
    ],
    intercepts: [1.5e6, 0.25, 67_108_864.0],
};

/// A weighted sum of the features for each output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    /// A row for each output, in each row a weight for each feature.
    pub weights: [[f64; 5]; 3],
    /// What is added to each output.
    pub intercepts: [f64; 3],
}

impl Linear {
    /// The answer, in double precision.
    #[must_use]
    pub fn predict(&self, features: &Features) -> RawPrediction {
        let inputs = features.to_array();
        let mut outputs = self.intercepts;
        for (output, weights) in outputs.iter_mut().zip(&self.weights) {
            *output +=
                weights.iter().zip(inputs).map(|(weight, input)| weight * input).sum::<f64>();
        }
        RawPrediction::from_array(outputs)
    }

    /// As one `Gemm` in single precision, from `input` `[1,5]` to `output` `[1,3]`.
    #[must_use]
    pub fn to_onnx(&self) -> Model {
        self.to_onnx_with(Dim::Fixed(1))
    }

    /// As [`Linear::to_onnx`], with another batch dimension.
    #[must_use]
    pub fn to_onnx_with(&self, batch: Dim<'_>) -> Model {
        let weights: Vec<f32> =
            self.weights.as_flattened().iter().map(|value| *value as f32).collect();
        Model::new()
            .input("input", &[batch, Dim::Fixed(5)])
            .initializer("weights", &[3, 5], &weights)
            .initializer("intercepts", &[3], &self.intercepts.map(|value| value as f32))
            .node("Gemm", &["input", "weights", "intercepts"], &["output"], &[("transB", 1.into())])
            .output("output", &[batch, Dim::Fixed(3)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_law_weighs_each_feature() {
        assert_eq!(CONSTANT.predict(&Features::from_array([9.0; 5])).cpu_cores, 0.25);
        let answer = LINEAR.predict(&Features { active_calls: 4.0, ..Features::IDLE });
        assert_eq!(answer.runtime_ns, 1.5e6 + 3e4 + 4.0 * 2.5e5);
    }
}
