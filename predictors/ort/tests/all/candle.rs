//! One network in two formats: candle and ONNX Runtime agree.

use hyperfake_predictor::{Backend, RawPrediction};
use hyperfake_predictor_candle::CandleBackend;
use hyperfake_predictor_ort::OrtBackend;
use hyperfake_predictor_testkit::{File, reference::Network, samples};

/// Both compute in single precision, each in its own order.
const TOLERANCE: f64 = 1e-5;

pub(crate) fn candle_agrees_with_onnx_runtime() {
    for (seed, hidden) in [(1, &[40, 40][..]), (2, &[64, 32, 16]), (3, &[300, 300])] {
        let network = Network::sample(hidden, seed);
        let candle = File::of_bytes("model.safetensors", &network.to_safetensors());
        let candle = answers(&CandleBackend, &candle);
        let ort = answers(&OrtBackend::default(), &File::of(&network.to_onnx()));
        for (candle, ort) in candle.as_flattened().iter().zip(ort.as_flattened()) {
            let difference = (candle - ort).abs();
            assert!(difference <= TOLERANCE * ort.abs().max(1.0), "{candle} and {ort}");
        }
    }
}

fn answers(backend: &dyn Backend, file: &File) -> Vec<[f64; 3]> {
    let mut session = file.open_with(backend).session().unwrap();
    let answer = |features| session.predict(features).unwrap();
    samples::ordinary().iter().map(answer).map(|raw: RawPrediction| raw.to_array()).collect()
}
