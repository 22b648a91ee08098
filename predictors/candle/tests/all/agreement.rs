//! One network in two formats: candle and tract agree.

use hyperfake_predictor::{Backend, ModelUri, RawPrediction};
use hyperfake_predictor_candle::CandleBackend;
use hyperfake_predictor_testkit::{reference::Network, samples};
use hyperfake_predictor_tract::TractBackend;

use crate::file::{File, Model};

/// All compute in single precision, each in its own order.
const TOLERANCE: f64 = 1e-5;

fn answers(backend: &dyn Backend, uri: &ModelUri) -> Vec<[f64; 3]> {
    let mut session = backend.open(uri).unwrap().session().unwrap();
    let answer = |features| session.predict(features).unwrap();
    samples::ordinary().iter().map(answer).map(|raw: RawPrediction| raw.to_array()).collect()
}

fn agree(backend: &dyn Backend) {
    for (seed, hidden) in [(1, &[40, 40][..]), (2, &[64, 32, 16]), (3, &[300, 300])] {
        let network = Network::sample(hidden, seed);
        let file = File::of(&Model::of(&network));
        let onnx = ModelUri::from_path(file.path.with_extension("onnx"));
        std::fs::write(onnx.path(), network.to_onnx().to_bytes()).unwrap();
        let candle = answers(&CandleBackend, &file.uri());
        let others = answers(backend, &onnx);
        for (candle, other) in candle.as_flattened().iter().zip(others.as_flattened()) {
            let difference = (candle - other).abs();
            assert!(difference <= TOLERANCE * other.abs().max(1.0), "{candle} and {other}");
        }
    }
}

#[test]
fn tract_agrees() {
    agree(&TractBackend);
}
