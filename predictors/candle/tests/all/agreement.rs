//! One network in two formats: this backend and tract say the same.

use hyperfake_predictor::{Backend, ModelUri};
use hyperfake_predictor_candle::CandleBackend;
use hyperfake_predictor_testkit::{laws::Network, samples};
use hyperfake_predictor_tract::TractBackend;

use crate::file::{File, Model};

/// Both compute in single precision, each in its own order.
const TOLERANCE: f64 = 1e-5;

#[test]
fn tract_and_candle_give_the_same_answers_for_the_same_network() {
    for (seed, hidden) in [(1, &[40, 40][..]), (2, &[64, 32, 16]), (3, &[300, 300])] {
        let network = Network::sample(hidden, seed);
        let safetensors = File::of(&Model::of(&network));
        let onnx = safetensors.path.with_extension("onnx");
        std::fs::write(&onnx, network.to_onnx().to_bytes()).unwrap();
        let mut candle = CandleBackend.open(&safetensors.uri()).unwrap().session().unwrap();
        let tract = TractBackend.open(&ModelUri::from_path(&onnx)).unwrap();
        let mut tract = tract.session().unwrap();
        for features in samples::ordinary() {
            let candle = candle.predict(&features).unwrap().to_array();
            let tract = tract.predict(&features).unwrap().to_array();
            for (candle, tract) in candle.into_iter().zip(tract) {
                let difference = (candle - tract).abs();
                assert!(difference <= TOLERANCE * tract.abs().max(1.0), "{candle} and {tract}");
            }
        }
    }
}
