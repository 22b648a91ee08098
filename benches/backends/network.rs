//! The shipped echo network, taken out of its file, and the calls that are predicted with it.

use std::sync::LazyLock;

use hyperfake_predictor::Features;
use hyperfake_predictor_testkit::reference::{Layer, Network};
use tract_onnx::prelude::*;

/// Relative to the repository, where benches run.
pub(crate) const FILE: &str = "models/hyperfaas-echo.onnx";

/// Another call each time, as in a worker; so few that they stay in the cache.
pub(crate) const CALLS: usize = 256;

/// An idle worker, where the table is exact, and calls all over the domain that the model states.
pub(crate) static INPUTS: LazyLock<[Features; CALLS]> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(1);
    let mut inputs = std::array::from_fn(|_| {
        let highest = [1e6, 100.0, 500.0, 512.0, 137_438_953_472.0];
        Features::from_array(highest.map(|highest| (highest * random.f64()).ceil()))
    });
    inputs[0] = Features::from_array([0.0, 1.0, 0.0, 0.0, 0.0]);
    inputs
});

pub(crate) fn shipped() -> Network {
    let graph = tract_onnx::onnx().proto_model_for_path(FILE).unwrap().graph.unwrap();
    let numbers = |name: &str| -> Vec<f32> {
        let tensor = graph.initializer.iter().find(|tensor| tensor.name == name).unwrap();
        tensor.raw_data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    let layer = |index: usize| Layer {
        weights: numbers(&format!("model.{}.weight", 2 * index)),
        biases: numbers(&format!("model.{}.bias", 2 * index)),
    };
    Network {
        input_mean: numbers("input_mean").try_into().unwrap(),
        input_scale: numbers("input_scale").try_into().unwrap(),
        layers: (0..3).map(layer).collect(),
        output_scale: numbers("output_scale").try_into().unwrap(),
        output_mean: numbers("output_mean").try_into().unwrap(),
    }
}

/// All numbers in the order in which they are used, as the plugins take them.
pub(crate) fn in_order(network: &Network) -> Vec<f32> {
    let mut numbers = [network.input_mean, network.input_scale].concat();
    for layer in &network.layers {
        numbers.extend(by_input(layer).concat());
        numbers.extend(&layer.biases);
    }
    numbers.extend([network.output_scale, network.output_mean].concat());
    numbers
}

/// A layer's weights, in a row for each input.
pub(crate) fn by_input(layer: &Layer) -> Vec<Vec<f32>> {
    let inputs = layer.weights.len() / layer.biases.len();
    (0..inputs)
        .map(|input| layer.weights.iter().skip(input).step_by(inputs).copied().collect())
        .collect()
}
