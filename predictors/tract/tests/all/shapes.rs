//! What may differ between models: batch sizes, element types, the number of outputs.

use hyperfake_predictor::{Backend, Feature, Features, Range, RawPrediction, Units};
use hyperfake_predictor_testkit::{
    Conformance, ReferenceModel,
    onnx::{DataType, Dim, Model},
    reference::{LINEAR, Network},
};
use hyperfake_predictor_tract::{DenseBackend, TractBackend};

use crate::file::File;

const FIVE: Dim<'_> = Dim::Fixed(5);
const THREE: Dim<'_> = Dim::Fixed(3);

/// The linear reference function between an input and an output of any kind; `wire` connects `input` to `x` and
/// `y` to `output`.
fn linear(batch: Dim<'_>, output: &[Dim<'_>], wire: fn(Model) -> Model) -> Model {
    let weights: Vec<f32> = LINEAR.weights.as_flattened().iter().map(|w| *w as f32).collect();
    let model = Model::new()
        .input("input", &[batch, FIVE])
        .initializer("weights", &[3, 5], &weights)
        .initializer("intercepts", &[3], &LINEAR.intercepts.map(|value| value as f32));
    wire(model).output("output", output)
}

fn gemm(model: Model, input: &str, output: &str) -> Model {
    let inputs = [input, "weights", "intercepts"];
    model.node("Gemm", &inputs, &[output], &[("transB", 1.into())])
}

fn conforms(model: &Model) {
    let file = File::of(model);
    let known = ReferenceModel::new(file.uri(), |features| LINEAR.predict(features), 1e-6);
    Conformance::of(TractBackend).model(known).run();
}

#[test]
fn any_batch_size_of_the_input_serves_one_call() {
    for batch in [Dim::Fixed(1), Dim::Fixed(8), Dim::Named("batch"), Dim::Unknown] {
        conforms(&linear(batch, &[batch, THREE], |model| gemm(model, "input", "output")));
        let network = Network::sample(&[16], 5);
        let file = File::of(&network.to_onnx_with(batch));
        let known =
            ReferenceModel::new(file.uri(), move |features| network.predict(features), 1e-4);
        Conformance::of(TractBackend).model(known).run();
    }
}

#[test]
fn a_graph_that_insists_on_its_batch_size_gets_it() {
    conforms(&linear(Dim::Fixed(8), &[Dim::Fixed(8), THREE], |model| {
        let model = model
            .initializer("flat", &[1], &[40_i64])
            .initializer("square", &[2], &[8_i64, 5])
            .node("Reshape", &["input", "flat"], &["row"], &[])
            .node("Reshape", &["row", "square"], &["x"], &[]);
        gemm(model, "x", "output")
    }));
}

#[test]
fn a_batch_size_that_is_too_large_to_repeat_is_refused() {
    let file = File::of(&linear(Dim::Fixed(5000), &[Dim::Fixed(5000), THREE], |model| {
        let model = model.initializer("shape", &[2], &[5000_i64, 5]);
        gemm(model.node("Reshape", &["input", "shape"], &["x"], &[]), "x", "output")
    }));
    assert_eq!(file.refusal(), "the model takes 5000 rows at once, expected 1 to 1024");
}

#[test]
fn an_output_without_rows_is_one_answer() {
    conforms(&linear(Dim::Fixed(1), &[THREE], |model| {
        let model = gemm(model, "input", "y").initializer("shape", &[1], &[3_i64]);
        model.node("Reshape", &["y", "shape"], &["output"], &[])
    }));
}

/// Weights by column, as `MatMul` takes them.
fn double_linear(model: Model) -> Model {
    let columns: Vec<f64> =
        (0..5).flat_map(|input| LINEAR.weights.map(|weights| weights[input])).collect();
    model
        .input_of(DataType::Double, "input", &[Dim::Fixed(1), FIVE])
        .initializer("weights", &[5, 3], &columns)
        .initializer("intercepts", &[3], &LINEAR.intercepts)
        .output_of(DataType::Double, "output", &[Dim::Fixed(1), THREE])
}

#[test]
fn double_precision_stays_double() {
    let model = double_linear(Model::new())
        .node("MatMul", &["input", "weights"], &["sums"], &[])
        .node("Add", &["sums", "intercepts"], &["output"], &[]);
    let file = File::of(&model);
    let known = ReferenceModel::new(file.uri(), |features| LINEAR.predict(features), 1e-14);
    Conformance::of(TractBackend).model(known).run();
}

/// tract multiplies the bias by a factor in single precision. When this fails, tract has learned
/// better, and the crate's documentation can lose a sentence.
#[test]
fn a_double_precision_gemm_with_a_bias_is_refused() {
    let model = double_linear(Model::new());
    let inputs = ["input", "weights", "intercepts"];
    let refusal = File::of(&model.node("Gemm", &inputs, &["output"], &[])).refusal();
    assert!(refusal.starts_with("tract cannot prepare the graph: "), "{refusal}");
}

#[test]
fn input_and_output_may_differ_in_precision() {
    let model = Model::new()
        .input_of(DataType::Double, "input", &[Dim::Fixed(1), FIVE])
        .node("Cast", &["input"], &["x"], &[("to", 1.into())])
        .initializer("weights", &[5, 3], &[1.0_f32; 15])
        .node("MatMul", &["x", "weights"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), THREE]);
    let answer = File::of(&model).predict(&Features::from_array([1.0, 2.0, 3.0, 4.0, 5.0]));
    assert_eq!(answer, RawPrediction::from_array([15.0; 3]));
}

#[test]
fn of_several_outputs_the_one_called_output_counts() {
    let model = linear(Dim::Fixed(1), &[Dim::Fixed(1), THREE], |model| {
        let model = gemm(model, "input", "output");
        model.node("Neg", &["output"], &["negated"], &[]).output("negated", &[Dim::Fixed(1), THREE])
    });
    conforms(&model);
}

#[test]
fn a_single_output_may_have_any_name() {
    let model = Model::new()
        .input("x", &[Dim::Named("n"), FIVE])
        .initializer("weights", &[5, 3], &[1.0_f32; 15])
        .node("MatMul", &["x", "weights"], &["variable"], &[])
        .output("variable", &[Dim::Named("n"), THREE]);
    assert_eq!(File::of(&model).predict(&Features::IDLE).cpu_cores, 1.0);
}

#[test]
fn an_initializer_that_is_also_listed_as_an_input_is_a_constant() {
    let model = Model::new()
        .ir_version(3)
        .input("weights", &[FIVE, THREE])
        .input("x", &[Dim::Fixed(1), FIVE])
        .initializer("weights", &[5, 3], &[1.0_f32; 15])
        .node("MatMul", &["x", "weights"], &["y"], &[])
        .output("y", &[Dim::Fixed(1), THREE]);
    assert_eq!(File::of(&model).predict(&Features::IDLE).cpu_cores, 1.0);
}

#[test]
fn external_data_beside_the_file_is_read() {
    let model = Model::new()
        .input("x", &[Dim::Fixed(1), FIVE])
        .external_initializer("weights", &[5, 3], "weights.bin")
        .node("MatMul", &["x", "weights"], &["y"], &[])
        .output("y", &[Dim::Fixed(1), THREE]);
    let file = File::of(&model);
    let data: Vec<u8> = (0..15_u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
    std::fs::write(file.folder.path().join("weights.bin"), data).unwrap();
    // The second row: one instance.
    assert_eq!(file.predict(&Features::IDLE), RawPrediction::from_array([3.0, 4.0, 5.0]));
}

#[test]
fn info_says_what_the_file_says() {
    let model = LINEAR
        .to_onnx()
        .metadata("hyperfake.response", "echo")
        .metadata("hyperfake.cold_start", "250ms")
        .metadata("author", "someone")
        .metadata("hyperfake.", "no name");
    let file = File::of(&model);
    let predictor = file.open().unwrap();
    let info = predictor.info();
    let settings: Vec<_> = info.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(settings, [("cold_start", "250ms"), ("response", "echo")]);
    assert_eq!((info.backend, info.units), ("tract", Units::NATIVE));
    assert_eq!(info.inputs, Feature::ALL);
}

/// A product of the columns with 1, 10, 100, ... for each output.
fn digits(columns: i64) -> Model {
    let weights: Vec<f32> = (0..columns as i32).flat_map(|row| [10_f32.powi(row); 3]).collect();
    Model::new()
        .input("input", &[Dim::Fixed(1), Dim::Fixed(columns)])
        .initializer("weights", &[columns, 3], &weights)
        .node("MatMul", &["input", "weights"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), THREE])
}

#[test]
fn the_features_setting_names_the_columns_in_their_order() {
    let busy = Features::from_array([1.0, 2.0, 3.0, 4.0, 5.0]);
    for (columns, parameters, expected) in [
        (4, "features=request_bytes,function_instances,worker_cpu_cores,worker_ram_bytes", 5421.0),
        (1, "features=worker_cpu_cores", 4.0),
        (2, "features=worker_ram_bytes,request_bytes", 15.0),
        (5, "response=echo", 54321.0),
        (
            5,
            "features=worker_ram_bytes,worker_cpu_cores,active_calls,function_instances,\
             request_bytes",
            12345.0,
        ),
    ] {
        let file = File::of(&digits(columns));
        for backend in [&TractBackend as &dyn Backend, &DenseBackend] {
            let predictor = backend.open(&file.uri_with(parameters)).unwrap();
            assert_eq!(predictor.info().inputs.len(), columns as usize);
            let answer = predictor.session().unwrap().predict(&busy).unwrap();
            assert_eq!(answer, RawPrediction::from_array([expected; 3]), "{parameters}");
        }
    }
    let named = digits(1).metadata("hyperfake.features", "active_calls");
    assert_eq!(File::of(&named).predict(&busy).cpu_cores, 3.0);
    let error = TractBackend.open(&File::of(&named).uri_with("features=cpu")).unwrap_err();
    assert!(error.to_string().contains("features: no feature is called 'cpu'"), "{error}");
}

#[test]
fn the_scaler_in_a_file_says_what_the_model_was_trained_on() {
    let scaled = |mean: &[f32], scale: &[f32]| {
        let columns = [mean.len() as i64];
        let model = digits(2)
            .metadata("hyperfake.features", "request_bytes,active_calls")
            .initializer("input_mean", &columns, mean)
            .initializer("input_scale", &[scale.len() as i64], scale);
        File::of(&model).open().unwrap().info().trained.clone()
    };
    assert_eq!(
        scaled(&[100.0, 7.0], &[10.0, 0.0]),
        [Range::new(50.0, 150.0), Range::new(7.0, 7.0)]
    );
    assert_eq!(scaled(&[1.0, f32::NAN], &[1.0, 1.0]), [Range::new(-4.0, 6.0), None]);
    assert_eq!(scaled(&[1.0, 2.0, 3.0], &[1.0, 1.0]), []);
    assert_eq!(File::of(&digits(5)).open().unwrap().info().trained, []);
    assert!(File::of(&digits(5)).open().unwrap().info().deterministic);
}

/// Features in single precision are what the model's author saw, too.
#[test]
fn a_single_precision_model_sees_features_in_single_precision() {
    let model = Model::new()
        .input("x", &[Dim::Fixed(1), FIVE])
        .initializer("weights", &[5, 3], &[1.0_f32; 15])
        .node("MatMul", &["x", "weights"], &["y"], &[])
        .output("y", &[Dim::Fixed(1), THREE]);
    let file = File::of(&model);
    let answer = |ram| {
        let features =
            Features { worker_ram_bytes: ram, function_instances: 0.0, ..Features::IDLE };
        file.predict(&features).ram_bytes
    };
    assert_eq!(answer(16_777_217.0), 16_777_216.0);
    assert_eq!(answer(16_777_215.0), 16_777_215.0);
    assert_eq!(answer(f64::MAX), f64::INFINITY);
}
