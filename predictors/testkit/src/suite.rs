//! One suite for all engines of ONNX files: what each must serve, and what each must refuse.
//!
//! A backend's own tests run every test of [`TESTS`], and add what is special about the engine.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod quantiles;

use std::{fs, sync::Arc, thread};

use hyperfake_predictor::{Backend, Feature, Features, Random, Range, RawPrediction, Units};

use crate::{
    Conformance, File, ReferenceModel,
    forms::Form,
    onnx::{DataType, Dim, Model},
    reference::{CONSTANT, LINEAR, Linear, Network},
};

use self::quantiles::*;

/// A test; it panics when the backend fails it.
pub type Test = fn(&Arc<dyn Backend>);

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), $name)),*]
    };
}

/// All tests, by name.
pub const TESTS: &[(&str, Test)] = tests![
    every_property_holds,
    a_network_answers_as_worked_out_in_double_precision,
    every_form_of_inputs_and_outputs_gives_the_same_numbers,
    any_batch_size_of_the_input_serves_one_call,
    a_graph_that_insists_on_its_batch_size_gets_it,
    double_precision_stays_double,
    features_are_rounded_to_the_precision_of_the_input,
    three_outputs_of_one_number_each_count_in_their_order,
    of_several_outputs_the_one_called_output_counts,
    an_output_may_be_a_constant_of_the_file,
    an_initializer_that_is_also_listed_as_an_input_is_a_constant,
    external_data_beside_the_file_is_read,
    info_says_what_the_file_says,
    the_features_setting_names_the_columns_in_their_order,
    the_scaler_in_a_file_says_what_the_model_was_trained_on,
    an_input_of_the_wrong_size_or_number_is_refused,
    an_output_of_the_wrong_size_or_type_is_refused,
    a_network_with_heads_for_quantiles_draws_as_worked_out,
    quantiles_may_stand_in_any_order_and_in_three_outputs,
    levels_that_do_not_fit_the_output_are_refused,
    a_graph_that_fails_for_some_features_names_the_file_and_goes_on,
    a_truncated_file_is_opened_or_refused,
    a_damaged_file_is_opened_or_refused,
];

/// Runs the tests whose names are wanted, each in a thread of its name.
///
/// # Panics
///
/// When a test fails.
pub fn run(backend: impl Backend, wanted: impl Fn(&str) -> bool) {
    let backend: &Arc<dyn Backend> = &(Arc::new(backend) as _);
    let failed: Vec<_> = thread::scope(|scope| {
        let tests = TESTS.iter().filter(|(name, _)| wanted(name));
        let spawn = |(name, test): &(&'static str, Test)| {
            let (name, test) = (*name, *test);
            let thread = thread::Builder::new().name(name.to_owned());
            (name, thread.spawn_scoped(scope, move || test(backend)).unwrap())
        };
        let threads: Vec<_> = tests.map(spawn).collect();
        let ended = threads.into_iter().map(|(name, thread)| (name, thread.join()));
        ended.filter(|(_, ended)| ended.is_err()).map(|(name, _)| name).collect()
    });
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}

const ONE: Dim<'_> = Dim::Fixed(1);
const THREE: Dim<'_> = Dim::Fixed(3);
const FIVE: Dim<'_> = Dim::Fixed(5);

fn conforms(backend: &Arc<dyn Backend>, model: &Model, tolerance: f64) {
    reference_conforms(backend, LINEAR, model, tolerance);
}

fn reference_conforms(backend: &Arc<dyn Backend>, linear: Linear, model: &Model, tolerance: f64) {
    let file = File::of(model);
    let model = ReferenceModel::new(file.uri(), move |f| linear.predict(f), tolerance);
    Conformance::of_shared(Arc::clone(backend)).model(model).run();
}

fn network_conforms(backend: &Arc<dyn Backend>, network: Network, batch: Dim<'_>) {
    let file = File::of(&network.to_onnx_with(batch));
    let model = ReferenceModel::new(file.uri(), move |features| network.predict(features), 1e-4);
    Conformance::of_shared(Arc::clone(backend)).model(model).run();
}

/// A product of the columns with 1, 10, 100, ... for each output.
fn digits(columns: i64) -> Model {
    let weights: Vec<f32> = (0..columns as i32).flat_map(|row| [10_f32.powi(row); 3]).collect();
    Model::new()
        .input("input", &[ONE, Dim::Fixed(columns)])
        .initializer("weights", &[columns, 3], &weights)
        .node("MatMul", &["input", "weights"], &["output"], &[])
        .output("output", &[ONE, THREE])
}

/// A model whose output is a product with weights of `columns` columns.
fn with_columns(columns: i64) -> Model {
    Model::new()
        .input("input", &[ONE, FIVE])
        .initializer("weights", &[5, columns], &vec![1.0_f32; 5 * columns as usize])
        .node("MatMul", &["input", "weights"], &["output"], &[])
        .output("output", &[ONE, Dim::Fixed(columns)])
}

/// A model whose input has this shape, and whose output does not depend on it.
fn with_input(dims: &[Dim<'_>]) -> Model {
    Model::new()
        .input("features", dims)
        .initializer("output", &[1, 3], &[1.0_f32; 3])
        .output("output", &[ONE, THREE])
}

fn every_property_holds(backend: &Arc<dyn Backend>) {
    conforms(backend, &LINEAR.to_onnx(), 1e-6);
    reference_conforms(backend, CONSTANT, &CONSTANT.to_onnx(), 1e-9);
}

/// The shape of network that is common in the field, at several sizes.
fn a_network_answers_as_worked_out_in_double_precision(backend: &Arc<dyn Backend>) {
    for (seed, hidden) in [(1, &[37, 37][..]), (2, &[16]), (3, &[64, 32, 16]), (4, &[])] {
        network_conforms(backend, Network::sample(hidden, seed), ONE);
    }
}

fn every_form_of_inputs_and_outputs_gives_the_same_numbers(backend: &Arc<dyn Backend>) {
    for form in Form::all() {
        let opened = backend.open(&File::of(&form.model).uri_with(form.parameters));
        let model = opened.unwrap_or_else(|error| panic!("{}: {error}", form.name));
        let answer = model.session().unwrap().predict(&Form::features()).unwrap();
        assert_eq!(answer.to_array(), form.expected, "{}", form.name);
    }
}

fn any_batch_size_of_the_input_serves_one_call(backend: &Arc<dyn Backend>) {
    for batch in [ONE, Dim::Fixed(8), Dim::Named("batch"), Dim::Unknown] {
        conforms(backend, &LINEAR.to_onnx_with(batch), 1e-6);
        network_conforms(backend, Network::sample(&[16], 5), batch);
    }
}

fn a_graph_that_insists_on_its_batch_size_gets_it(backend: &Arc<dyn Backend>) {
    let weights: Vec<f32> = LINEAR.weights.as_flattened().iter().map(|w| *w as f32).collect();
    let model = Model::new()
        .input("input", &[Dim::Fixed(8), FIVE])
        .initializer("weights", &[3, 5], &weights)
        .initializer("intercepts", &[3], &LINEAR.intercepts.map(|value| value as f32))
        .initializer("flat", &[1], &[40_i64])
        .initializer("square", &[2], &[8_i64, 5])
        .node("Reshape", &["input", "flat"], &["row"], &[])
        .node("Reshape", &["row", "square"], &["x"], &[])
        .node("Gemm", &["x", "weights", "intercepts"], &["output"], &[("transB", 1.into())]);
    conforms(backend, &model.output("output", &[Dim::Fixed(8), THREE]), 1e-6);
}

fn double_precision_stays_double(backend: &Arc<dyn Backend>) {
    let columns: Vec<f64> =
        (0..5).flat_map(|input| LINEAR.weights.map(|weights| weights[input])).collect();
    let model = Model::new()
        .input_of(DataType::Double, "input", &[ONE, FIVE])
        .initializer("weights", &[5, 3], &columns)
        .initializer("intercepts", &[3], &LINEAR.intercepts)
        .node("MatMul", &["input", "weights"], &["sums"], &[])
        .node("Add", &["sums", "intercepts"], &["output"], &[])
        .output_of(DataType::Double, "output", &[ONE, THREE]);
    conforms(backend, &model, 1e-14);
}

/// The author of a model saw features in single precision, too.
fn features_are_rounded_to_the_precision_of_the_input(backend: &Arc<dyn Backend>) {
    let file = File::of(&with_columns(3));
    for (ram, expected) in
        [(16_777_217.0, 16_777_216.0), (16_777_215.0, 16_777_215.0), (f64::MAX, f64::INFINITY)]
    {
        let features =
            Features { worker_ram_bytes: ram, function_instances: 0.0, ..Features::IDLE };
        assert_eq!(file.predict_with(&**backend, &features).ram_bytes, expected);
    }
}

fn three_outputs_of_one_number_each_count_in_their_order(backend: &Arc<dyn Backend>) {
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
    conforms(backend, &model, 1e-6);
}

fn of_several_outputs_the_one_called_output_counts(backend: &Arc<dyn Backend>) {
    let model = LINEAR.to_onnx().node("Neg", &["output"], &["negated"], &[]);
    conforms(backend, &model.output("negated", &[ONE, THREE]), 1e-6);
}

fn an_output_may_be_a_constant_of_the_file(backend: &Arc<dyn Backend>) {
    let answer = File::of(&with_input(&[ONE, FIVE])).predict_with(&**backend, &Features::IDLE);
    assert_eq!(answer.to_array(), [1.0; 3]);
}

fn an_initializer_that_is_also_listed_as_an_input_is_a_constant(backend: &Arc<dyn Backend>) {
    let file = File::of(&with_columns(3).ir_version(3).input("weights", &[FIVE, THREE]));
    assert_eq!(file.predict_with(&**backend, &Features::IDLE).cpu_cores, 1.0);
}

fn external_data_beside_the_file_is_read(backend: &Arc<dyn Backend>) {
    let model = Model::new()
        .input("x", &[ONE, FIVE])
        .external_initializer("weights", &[5, 3], "weights.bin")
        .node("MatMul", &["x", "weights"], &["y"], &[])
        .output("y", &[ONE, THREE]);
    let file = File::of(&model);
    assert!(file.refusal_by(&**backend).contains("weights.bin"));
    let data: Vec<u8> = (0..15_u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
    fs::write(file.folder.path().join("weights.bin"), data).unwrap();
    let model = file.open_with(&**backend);
    // A first session may be that of the opening; the second is new.
    for _ in 0..2 {
        let answer = model.session().unwrap().predict(&Features::IDLE).unwrap();
        // The second row: one instance.
        assert_eq!(answer.to_array(), [3.0, 4.0, 5.0]);
    }
}

fn info_says_what_the_file_says(backend: &Arc<dyn Backend>) {
    let model = LINEAR
        .to_onnx()
        .metadata("hyperfake.response", "echo")
        .metadata("hyperfake.cold_start", "250ms")
        .metadata("author", "someone")
        .metadata("hyperfake.", "no name");
    let model = File::of(&model).open_with(&**backend);
    let info = model.info();
    let settings: Vec<_> = info.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(settings, [("cold_start", "250ms"), ("response", "echo")]);
    assert_eq!((info.backend, info.units), (backend.formats().name, Units::NATIVE));
    assert_eq!(info.inputs, Feature::ALL);
    assert!(info.deterministic);
}

fn the_features_setting_names_the_columns_in_their_order(backend: &Arc<dyn Backend>) {
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
        let model = backend.open(&File::of(&digits(columns)).uri_with(parameters)).unwrap();
        assert_eq!(model.info().inputs.len(), columns as usize);
        let answer = model.session().unwrap().predict(&busy).unwrap();
        assert_eq!(answer, RawPrediction::from_array([expected; 3]), "{parameters}");
    }
    let named = File::of(&digits(1).metadata("hyperfake.features", "active_calls"));
    assert_eq!(named.predict_with(&**backend, &busy).cpu_cores, 3.0);
    let error = backend.open(&named.uri_with("features=cpu")).unwrap_err().to_string();
    assert!(error.contains("features: no feature is called 'cpu'"), "{error}");
}

fn the_scaler_in_a_file_says_what_the_model_was_trained_on(backend: &Arc<dyn Backend>) {
    let scaled = |mean: &[f32], scale: &[f32]| {
        let model = digits(2)
            .metadata("hyperfake.features", "request_bytes,active_calls")
            .initializer("input_mean", &[mean.len() as i64], mean)
            .initializer("input_scale", &[scale.len() as i64], scale);
        File::of(&model).open_with(&**backend).info().trained.clone()
    };
    let expected = [Range::new(50.0, 150.0), Range::new(7.0, 7.0)];
    assert_eq!(scaled(&[100.0, 7.0], &[10.0, 0.0]), expected);
    assert_eq!(scaled(&[1.0, f32::NAN], &[1.0, 1.0]), [Range::new(-4.0, 6.0), None]);
    assert_eq!(scaled(&[1.0, 2.0, 3.0], &[1.0, 1.0]), []);
    assert_eq!(File::of(&digits(5)).open_with(&**backend).info().trained, []);
}

fn an_input_of_the_wrong_size_or_number_is_refused(backend: &Arc<dyn Backend>) {
    let one_five = &[ONE, FIVE];
    for (model, expected) in [
        (
            with_input(&[ONE, Dim::Fixed(4)]),
            "the model takes 4 inputs, and nothing says which; name them in its order, as in -m \
             'PATH?features=request_bytes,function_instances,worker_cpu_cores,worker_ram_bytes'",
        ),
        (
            with_input(&[ONE, Dim::Fixed(6)]),
            "the model takes 6 inputs, expected 1 to 5 of request_bytes,function_instances,\
             active_calls,worker_cpu_cores,worker_ram_bytes",
        ),
        (
            with_input(&[Dim::Fixed(2), Dim::Named("n"), Dim::Unknown]),
            "input 'features' has the shape [2,n,?], expected [1,k], [N,k] or [?,k] with a column \
             for each feature",
        ),
        (with_input(&[Dim::Fixed(0), FIVE]), "the model takes 0 rows at once, expected 1 to 1024"),
        (
            with_input(one_five).input("state", one_five),
            "found 2 inputs ('features', 'state'), expected one of the shape [1,k], [N,k] or \
             [?,k], or one of the shape [N,1] for each feature, named like it",
        ),
        (
            Model::new().initializer("y", &[1, 3], &[1.0_f32; 3]).output("y", &[ONE, THREE]),
            "found 0 inputs, expected one of the shape [1,k], [N,k] or [?,k], or one of the shape \
             [N,1] for each feature, named like it",
        ),
    ] {
        assert_eq!(File::of(&model).refusal_by(&**backend), expected);
    }
}

fn an_output_of_the_wrong_size_or_type_is_refused(backend: &Arc<dyn Backend>) {
    let truths = Model::new()
        .input("input", &[ONE, FIVE])
        .initializer("weights", &[5, 3], &[1.0_f32; 15])
        .node("MatMul", &["input", "weights"], &["sums"], &[])
        .node("Cast", &["sums"], &["output"], &[("to", 9.into())])
        .output_of(DataType::Bool, "output", &[ONE, THREE]);
    let expected = "expected three numbers a row (runtime_ns, cpu_cores, ram_bytes), such as \
                    [1,3], of float, double, float16, int64 or int32";
    for (model, found) in [(with_columns(7), "[1,7] of float"), (truths, "[1,3] of bool")] {
        let refusal = File::of(&model).refusal_by(&**backend);
        assert_eq!(refusal, format!("output 'output' is {found}, {expected}"));
    }
}

/// The number of instances picks a row of a table with two rows.
fn a_graph_that_fails_for_some_features_names_the_file_and_goes_on(backend: &Arc<dyn Backend>) {
    let model = Model::new()
        .input("input", &[ONE, FIVE])
        .initializer("column", &[1], &[1_i64])
        .initializer("zero", &[1], &[0_i64])
        .initializer("table", &[2, 3], &[0.0_f32, 0.0, 0.0, 1.0, 2.0, 3.0])
        .node("Gather", &["input", "column"], &["instances"], &[("axis", 1.into())])
        .node("Cast", &["instances"], &["row"], &[("to", 7.into())])
        .node("Squeeze", &["row", "zero"], &["index"], &[])
        .node("Gather", &["table", "index"], &["output"], &[("axis", 0.into())])
        .output("output", &[ONE, THREE]);
    let file = File::of(&model);
    let mut session = file.open_with(&**backend).session().unwrap();
    let crowded = Features { function_instances: 7.0, ..Features::IDLE };
    for _ in 0..2 {
        let error = session.predict(&crowded).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: ", file.path.display())), "{error}");
        assert_eq!(session.predict(&Features::IDLE).unwrap().to_array(), [1.0, 2.0, 3.0]);
    }
}

/// Every length of a small file, so that each field is cut somewhere.
fn a_truncated_file_is_opened_or_refused(backend: &Arc<dyn Backend>) {
    let bytes = LINEAR.to_onnx().metadata("hyperfake.response", "echo").to_bytes();
    (1..bytes.len()).for_each(|length| opened_or_refused(backend, &bytes[..length]));
}

/// A panic or a crash inside the engine must not escape.
fn a_damaged_file_is_opened_or_refused(backend: &Arc<dyn Backend>) {
    let bytes = Network::sample(&[4], 1).to_onnx().to_bytes();
    let mut random = Random::new(1, 0);
    for _ in 0..256 {
        let mut damaged = bytes.clone();
        for _ in 0..=random.below(3) {
            damaged[random.below(bytes.len())] = random.bits() as u8;
        }
        opened_or_refused(backend, &damaged);
    }
}

fn opened_or_refused(backend: &Arc<dyn Backend>, bytes: &[u8]) {
    let file = File::of_bytes("model.onnx", bytes);
    match file.open_registered(&[Arc::clone(backend)]) {
        Ok(model) => drop(model.session().unwrap().predict(&Features::IDLE)),
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with(&format!("{}: ", file.path.display())), "{text}");
            assert!(!text.contains('\n'), "{text}");
        }
    }
}
