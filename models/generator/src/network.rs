use hyperfake_predictor::{Features, RawPrediction};
pub use hyperfake_predictor_trainer::Layer;

/// Above this the end of the network lets a value through as it is.
pub const SOFTPLUS_THRESHOLD: f32 = 20.0;

/// A feed-forward network as in a model file.
///
/// `[1,5]` features, less `input_mean`, over `input_scale`, through the layers with a rectifier
/// between them, times `output_scale`, plus `output_mean`, and a softplus that keeps the answer
/// positive: `[1,3]` nanoseconds, cores and bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// What is taken off each feature.
    pub input_mean: [f32; 5],
    /// What each feature is then divided by.
    pub input_scale: [f32; 5],
    /// The layers, first to last.
    pub layers: Vec<Layer<f32>>,
    /// What each output is multiplied by.
    pub output_scale: [f32; 3],
    /// What is then added to each output.
    pub output_mean: [f32; 3],
}

impl Network {
    /// What the network answers, computed in `f32` as a runtime does.
    #[must_use]
    pub fn predict(&self, features: &Features) -> RawPrediction {
        let features = features.to_array();
        let mut values: Vec<f32> = (0..5)
            .map(|index| {
                (features[index] as f32 - self.input_mean[index]) / self.input_scale[index]
            })
            .collect();
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                values.iter_mut().for_each(|value| *value = value.max(0.0));
            }
            values = layer
                .rows()
                .map(|(row, bias)| row.iter().zip(&values).map(|(w, x)| w * x).sum::<f32>() + bias)
                .collect();
        }
        RawPrediction::from_array(std::array::from_fn(|output| {
            let raw = values[output] * self.output_scale[output] + self.output_mean[output];
            f64::from(if raw > SOFTPLUS_THRESHOLD { raw } else { libm::log1pf(libm::expf(raw)) })
        }))
    }

    /// The multiplications that one answer takes, scaling not counted.
    #[must_use]
    pub fn multiplications(&self) -> usize {
        self.layers.iter().map(|layer| layer.weights.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_layers_rectifier_and_softplus_come_in_this_order() {
        // Two hidden units: the number of instances above 3, in pairs, and what is missing to 3.
        let mut first = Layer::filled(5, 2, 0.0);
        first.weights[1] = 1.0;
        first.weights[5 + 1] = -1.0;
        let network = Network {
            input_mean: [0.0, 3.0, 0.0, 0.0, 0.0],
            input_scale: [1.0, 2.0, 1.0, 1.0, 1.0],
            layers: vec![
                first,
                Layer { weights: vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0], bias: vec![0.0, 0.0, 0.5] },
            ],
            output_scale: [10.0, 1.0, 1.0],
            output_mean: [100.0, 0.0, 0.0],
        };
        let at = |instances| {
            network
                .predict(&Features { function_instances: instances, ..Features::IDLE })
                .to_array()
        };
        assert_eq!(at(7.0)[0], 120.0);
        assert_eq!(at(1.0)[0], 100.0);
        // ln(1 + e^0) and ln(1 + e^0.5)
        assert!((at(7.0)[1] - std::f64::consts::LN_2).abs() < 1e-6);
        assert!((at(1.0)[2] - 0.974_077).abs() < 1e-6);
    }
}
