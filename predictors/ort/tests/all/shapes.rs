//! What may differ between models: batch sizes, columns, element types, the outputs.

use hyperfake_predictor::{Backend, Feature, Features, ModelUri, RawPrediction, Units};
use hyperfake_predictor_ort::OrtBackend;
use hyperfake_predictor_testkit::{
    Conformance, ReferenceModel,
    onnx::{DataType, Dim, Model},
    reference::LINEAR,
};

use crate::file::{File, runtime};

const ONE: Dim<'_> = Dim::Fixed(1);
const THREE: Dim<'_> = Dim::Fixed(3);
const FIVE: Dim<'_> = Dim::Fixed(5);

fn conforms(model: &Model) {
    let file = File::of(model);
    let known = ReferenceModel::new(file.uri(), |features| LINEAR.predict(features), 1e-6);
    Conformance::of(OrtBackend::default()).model(known).run();
}

#[test]
fn any_batch_size_of_the_input_serves_one_call() {
    if runtime("any_batch_size_of_the_input_serves_one_call").is_none() {
        return;
    }
    for batch in [ONE, Dim::Fixed(8), Dim::Named("batch"), Dim::Unknown] {
        conforms(&LINEAR.to_onnx_with(batch));
    }
}

/// Weights by column, as `MatMul` takes them.
fn columns() -> Vec<f64> {
    (0..5).flat_map(|input| LINEAR.weights.map(|weights| weights[input])).collect()
}

#[test]
fn double_precision_stays_double() {
    if runtime("double_precision_stays_double").is_none() {
        return;
    }
    let model = Model::new()
        .input_of(DataType::Double, "input", &[ONE, FIVE])
        .initializer("weights", &[5, 3], &columns())
        .initializer("intercepts", &[3], &LINEAR.intercepts)
        .node("Gemm", &["input", "weights", "intercepts"], &["output"], &[])
        .output_of(DataType::Double, "output", &[ONE, THREE]);
    let file = File::of(&model);
    let known = ReferenceModel::new(file.uri(), |features| LINEAR.predict(features), 1e-14);
    Conformance::of(OrtBackend::default()).model(known).run();
}

#[test]
fn an_output_without_rows_is_one_answer() {
    if runtime("an_output_without_rows_is_one_answer").is_none() {
        return;
    }
    let weights: Vec<f32> = columns().iter().map(|weight| *weight as f32).collect();
    conforms(
        &Model::new()
            .input("input", &[ONE, FIVE])
            .initializer("weights", &[5, 3], &weights)
            .initializer("intercepts", &[3], &LINEAR.intercepts.map(|value| value as f32))
            .initializer("shape", &[1], &[3_i64])
            .node("Gemm", &["input", "weights", "intercepts"], &["row"], &[])
            .node("Reshape", &["row", "shape"], &["output"], &[])
            .output("output", &[THREE]),
    );
}

#[test]
fn three_outputs_of_one_number_each_count_in_their_order() {
    if runtime("three_outputs_of_one_number_each_count_in_their_order").is_none() {
        return;
    }
    let model = ["time", "cpu", "ram"].into_iter().enumerate().fold(
        Model::new().input("input", &[Dim::Named("n"), FIVE]),
        |model, (index, name)| {
            let weights = LINEAR.weights[index].map(|weight| weight as f32);
            let (weights_name, bias_name) = (format!("{name}_weights"), format!("{name}_bias"));
            model
                .initializer(&weights_name, &[5, 1], &weights)
                .initializer(&bias_name, &[1], &[LINEAR.intercepts[index] as f32])
                .node("Gemm", &["input", &weights_name, &bias_name], &[name], &[])
                .output(name, &[Dim::Named("n"), ONE])
        },
    );
    conforms(&model);
}

#[test]
fn of_several_outputs_the_one_called_output_counts() {
    if runtime("of_several_outputs_the_one_called_output_counts").is_none() {
        return;
    }
    let model = LINEAR.to_onnx().node("Neg", &["output"], &["negated"], &[]);
    conforms(&model.output("negated", &[ONE, THREE]));
}

/// ONNX Runtime must copy it into the room that was made for it.
#[test]
fn an_output_may_be_a_constant_of_the_file() {
    if runtime("an_output_may_be_a_constant_of_the_file").is_none() {
        return;
    }
    let model = Model::new()
        .input("input", &[ONE, FIVE])
        .initializer("output", &[1, 3], &[1.0_f32, 2.0, 3.0])
        .output("output", &[ONE, THREE]);
    assert_eq!(File::of(&model).predict(&Features::IDLE).to_array(), [1.0, 2.0, 3.0]);
}

#[test]
fn a_model_with_fewer_inputs_takes_those_that_the_uri_names() {
    if runtime("a_model_with_fewer_inputs_takes_those_that_the_uri_names").is_none() {
        return;
    }
    let model = Model::new()
        .input("x", &[ONE, Dim::Fixed(2)])
        .initializer("weights", &[2, 3], &[1.0_f32, 10.0, 100.0, 2.0, 20.0, 200.0])
        .node("MatMul", &["x", "weights"], &["y"], &[])
        .output("y", &[ONE, THREE]);
    let file = File::of(&model);
    assert!(file.refusal().contains("the model takes 2 inputs, and nothing says which"));
    let uri = format!("{}?features=active_calls,request_bytes", file.path.display());
    let model = OrtBackend::default().open(&uri.parse::<ModelUri>().unwrap()).unwrap();
    assert_eq!(model.info().inputs, [Feature::ActiveCalls, Feature::RequestBytes]);
    let features = Features { active_calls: 3.0, request_bytes: 4.0, ..Features::IDLE };
    let answer = model.session().unwrap().predict(&features).unwrap();
    assert_eq!(answer, RawPrediction::from_array([11.0, 110.0, 1100.0]));
}

#[test]
fn info_says_what_the_file_says() {
    if runtime("info_says_what_the_file_says").is_none() {
        return;
    }
    let model = LINEAR
        .to_onnx()
        .metadata("hyperfake.response", "echo")
        .metadata("hyperfake.cold_start", "250ms")
        .metadata("author", "someone")
        .metadata("hyperfake.", "no name");
    let model = File::of(&model).open().unwrap();
    let info = model.info();
    let settings: Vec<_> = info.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(settings, [("cold_start", "250ms"), ("response", "echo")]);
    assert_eq!((info.backend, info.units), ("ort", Units::NATIVE));
    assert_eq!(info.inputs, Feature::ALL);
}

#[test]
fn external_data_beside_the_file_is_read() {
    if runtime("external_data_beside_the_file_is_read").is_none() {
        return;
    }
    let model = Model::new()
        .input("x", &[ONE, FIVE])
        .external_initializer("weights", &[5, 3], "weights.bin")
        .node("MatMul", &["x", "weights"], &["y"], &[])
        .output("y", &[ONE, THREE]);
    let file = File::of(&model);
    let data: Vec<u8> = (0..15_u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
    std::fs::write(file.folder.path().join("weights.bin"), data).unwrap();
    let model = file.open().unwrap();
    // The first session is that of the opening, the second is new.
    for _ in 0..2 {
        let answer = model.session().unwrap().predict(&Features::IDLE).unwrap();
        // The second row: one instance.
        assert_eq!(answer.to_array(), [3.0, 4.0, 5.0]);
    }
}
