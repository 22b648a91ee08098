//! ONNX Runtime's own format, and models that only ONNX Runtime runs.

use std::fs;

use hyperfake_predictor::{Feature, Features, Range};
use hyperfake_predictor_ort::OrtBackend;
use hyperfake_predictor_testkit::{
    Conformance, ReferenceModel,
    onnx::{Dim, Model},
    reference::{LINEAR, Network},
};

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};

use crate::{
    child::Child,
    file::{File, Ort, library, open_registered},
};

/// The same model as an `.ort` file.
fn converted(model: &Model) -> File {
    let onnx = File::of(model);
    let ort = onnx.folder.path().join("model.ort");
    Child::new("convert")
        .with("MODEL", &onnx.path)
        .with("TO", &ort)
        .with("ORT_DYLIB_PATH", library())
        .run();
    File { path: ort, ..onnx }
}

pub(crate) fn every_property_holds_for_ort_files() {
    let linear = converted(&LINEAR.to_onnx());
    let network = Network::sample(&[16, 16], 1);
    let file = converted(&network.to_onnx());
    Conformance::of(OrtBackend::default())
        .model(ReferenceModel::new(linear.uri(), |features| LINEAR.predict(features), 1e-6))
        .model(ReferenceModel::new(file.uri(), move |features| network.predict(features), 1e-4))
        .run();
}

/// The scaler's mean is 100 and 7, its deviation 10 and 1; five deviations count as trained on.
pub(crate) fn an_ort_file_says_what_the_model_was_trained_on() {
    let model = Model::new()
        .input("input", &[Dim::Fixed(1), Dim::Fixed(2)])
        .initializer("input_mean", &[2], &[100.0_f32, 7.0])
        .initializer("input_scale", &[2], &[10.0_f32, 1.0])
        .initializer("weights", &[2, 3], &[1.0_f32; 6])
        .node("Sub", &["input", "input_mean"], &["shifted"], &[])
        .node("Div", &["shifted", "input_scale"], &["scaled"], &[])
        .node("MatMul", &["scaled", "weights"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), Dim::Fixed(3)])
        .metadata("features", "request_size_bytes,active_function_calls_count");
    let expected = [Range::new(50.0, 150.0), Range::new(2.0, 12.0)];
    for file in [File::of(&model), converted(&model)] {
        let model = file.open().unwrap();
        assert_eq!(model.info().trained, expected, "{}", file.path.display());
        assert_eq!(model.info().inputs, [Feature::RequestBytes, Feature::ActiveCalls]);
    }
}

pub(crate) fn an_ort_file_says_its_settings() {
    let file = converted(&LINEAR.to_onnx().metadata("hyperfake.response", "echo"));
    let model = file.open().unwrap();
    assert_eq!(model.info().settings["response"], "echo");
}

/// The version is a short text in the file.
pub(crate) fn an_ort_file_of_a_newer_format_is_refused() {
    let file = converted(&LINEAR.to_onnx());
    let mut bytes = fs::read(&file.path).unwrap();
    let version = [1, 0, 0, 0, b'6', 0];
    let at = bytes.windows(version.len()).position(|part| part == version).unwrap();
    bytes[at + 4] = b'9';
    fs::write(&file.path, bytes).unwrap();
    let refusal = file.refusal();
    assert!(refusal.starts_with("ONNX Runtime cannot open the model: "), "{refusal}");
    assert!(refusal.contains("format model version [9] is not supported"), "{refusal}");
}

/// ONNX Runtime checks the structure of such a file; a crash would end this process.
pub(crate) fn a_damaged_ort_file_is_opened_or_refused() {
    let file = converted(&Network::sample(&[4], 1).to_onnx());
    let bytes = fs::read(&file.path).unwrap();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let damage = prop::collection::vec((any::<Index>(), any::<u8>()), 1..4);
    let outcome = runner.run(&damage, |damage| {
        let mut bytes = bytes.clone();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let file = File::of_bytes("model.ort", &bytes);
        match file.open() {
            Ok(model) => drop(model.session().unwrap().predict(&Features::IDLE)),
            Err(_) => drop(file.refusal()),
        }
        Ok(())
    });
    outcome.unwrap();
}

/// 1 for each feature that is above 2, by an operator of `ai.onnx.ml` that tract does not have.
pub(crate) fn ort_serves_a_file_that_tract_declined() {
    let weights: Vec<f32> = (0..15_u8).map(f32::from).collect();
    let model = Model::new()
        .opset_of("ai.onnx.ml", 3)
        .input("input", &[Dim::Unknown, Dim::Fixed(5)])
        .node_of("ai.onnx.ml", "Binarizer", &["input"], &["flags"], &[("threshold", 2.0.into())])
        .initializer("weights", &[5, 3], &weights)
        .node("MatMul", &["flags", "weights"], &["output"], &[])
        .output("output", &[Dim::Unknown, Dim::Fixed(3)]);
    let file = File::of(&model);
    let loaded = open_registered(&file).unwrap();
    let model = &loaded.models[0].predictor;
    assert_eq!(model.info().backend, "ort");
    assert_eq!(loaded.declined[0].backend, "tract");
    let reason = loaded.declined[0].error.to_string();
    assert!(
        reason.contains("tract does not support the operator ai.onnx.ml.Binarizer"),
        "{reason}"
    );
    let features = Features::from_array([9.0, 1.0, 9.0, 0.0, 0.0]);
    let answer = model.session().unwrap().predict(&features).unwrap();
    assert_eq!(answer.to_array(), [6.0, 8.0, 10.0]);
}
