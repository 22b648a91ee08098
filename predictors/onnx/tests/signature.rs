//! Which inputs and outputs a model may have, and what their numbers mean.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use hyperfake_predictor::{Feature, ModelUri, Result, Settings};
use hyperfake_predictor_onnx::{Element, OnnxFile, Signature};
use hyperfake_predictor_testkit::onnx::{DataType, Dim, Model};

const ONE: Dim<'_> = Dim::Fixed(1);
const FIVE: Dim<'_> = Dim::Fixed(5);
const FREE: Dim<'_> = Dim::Unknown;

fn parse(model: &Model, query: &str) -> Result<OnnxFile> {
    let uri: ModelUri = format!("no-such-file.onnx{query}").parse().unwrap();
    OnnxFile::parse(&uri, model.to_bytes())
}

/// A constant output of a good shape.
fn with_output(model: Model) -> Model {
    model.initializer("y", &[1, 3], &[1.0_f32; 3]).output("y", &[ONE, Dim::Fixed(3)])
}

fn with_input(element: DataType, dims: &[Dim<'_>]) -> Model {
    with_output(Model::new().input_of(element, "x", dims))
}

fn refusal(model: &Model, query: &str) -> String {
    parse(model, query).unwrap_err().to_string()
}

#[test]
fn an_input_has_a_column_for_each_feature_in_any_usual_shape() {
    for (dims, shape, rows) in [
        (&[ONE, FIVE][..], vec![1, 5], Some(1)),
        (&[Dim::Fixed(8), FIVE], vec![1, 5], Some(8)),
        (&[Dim::Named("batch"), FIVE], vec![1, 5], None),
        (&[FREE, FIVE], vec![1, 5], None),
        (&[FIVE], vec![5], None),
        (&[ONE, ONE, FIVE], vec![1, 1, 5], Some(1)),
    ] {
        let file = parse(&with_input(DataType::Float, dims), "").unwrap();
        assert_eq!(file.columns(), Feature::ALL, "{dims:?}");
        assert_eq!((file.signature.inputs[0].shape(1), file.signature.rows), (shape, rows));
    }
}

#[test]
fn an_input_without_a_stated_width_needs_the_names_of_its_columns() {
    let model = with_input(DataType::Float, &[FREE, FREE]);
    let file = parse(&model, "?features=active_calls,request_bytes").unwrap();
    assert_eq!(file.columns(), [Feature::ActiveCalls, Feature::RequestBytes]);
    assert_eq!(file.signature.inputs[0].shape(1), [1, 2]);
    assert_eq!(
        refusal(&model, ""),
        "input 'x' has the shape [?,?], so nothing says how many columns it has; name them in its \
         order, as in -m 'PATH?features=request_bytes,function_instances,active_calls,\
         worker_cpu_cores,worker_ram_bytes'"
    );
}

#[test]
fn the_columns_that_hyperfaas_training_programs_write_are_understood() {
    let names = "worker_ram_usage,request_size_bytes,active_function_calls_count";
    let model = with_input(DataType::Float, &[FREE, Dim::Fixed(3)]).metadata("features", names);
    let columns = [Feature::WorkerRamBytes, Feature::RequestBytes, Feature::ActiveCalls];
    assert_eq!(parse(&model, "").unwrap().columns(), columns);
    // What the user says counts before it.
    let said = "?features=request_bytes,function_instances,active_calls";
    assert_eq!(parse(&model, said).unwrap().columns(), Feature::ALL[..3]);
    let unknown = with_input(DataType::Float, &[FREE, FIVE]).metadata("features", "f0,f1,f2,f3,f4");
    let refusal = refusal(&unknown, "");
    assert!(refusal.starts_with("features: no feature is called 'f0'; there are "), "{refusal}");
}

#[test]
fn inputs_that_are_named_like_features_are_taken_by_name() {
    let columns = [
        "worker_ram_bytes",
        "active_function_calls_count",
        "request_bytes",
        "worker_cpu_usage",
        "function_instances",
    ];
    let shapes: [&[Dim<'_>]; 5] = [&[FREE, ONE], &[FREE, FREE], &[FREE], &[], &[FREE, ONE]];
    let model = columns
        .iter()
        .zip(shapes)
        .fold(Model::new(), |model, (name, dims)| model.input(name, dims));
    let file = parse(&with_output(model), "").unwrap();
    assert_eq!(
        file.columns(),
        [
            Feature::WorkerRamBytes,
            Feature::ActiveCalls,
            Feature::RequestBytes,
            Feature::WorkerCpuCores,
            Feature::FunctionInstances,
        ]
    );
    let shapes: Vec<_> = file.signature.inputs.iter().map(|input| input.shape(1)).collect();
    assert_eq!(shapes, [vec![1, 1], vec![1, 1], vec![1], vec![], vec![1, 1]]);
}

#[test]
fn inputs_whose_names_do_not_say_what_they_are_are_refused() {
    let two = |first: &str, second: &str| {
        with_output(Model::new().input(first, &[FREE, ONE]).input(second, &[FREE, ONE]))
    };
    assert_eq!(
        refusal(&two("x1", "x2"), ""),
        "found 2 inputs ('x1', 'x2'), expected one of the shape [1,k], [N,k] or [?,k], or one of \
         the shape [N,1] for each feature, named like it"
    );
    let stated = "?features=active_calls,request_bytes";
    let by_place = parse(&two("x1", "x2"), stated).unwrap().columns();
    assert_eq!(by_place, [Feature::ActiveCalls, Feature::RequestBytes]);
    assert!(refusal(&two("request_bytes", "x2"), stated).starts_with("found 2 inputs"));
    assert_eq!(
        refusal(&two("request_bytes", "request_size_bytes"), ""),
        "two inputs are called after 'request_bytes'"
    );
    assert_eq!(
        refusal(&two("request_bytes", "active_calls"), "?features=request_bytes"),
        "features says request_bytes, but the model's inputs are request_bytes,active_calls"
    );
    let wide = with_output(
        Model::new().input("request_bytes", &[FREE, ONE]).input("active_calls", &[FREE, FIVE]),
    );
    assert_eq!(
        refusal(&wide, ""),
        "input 'active_calls' has the shape [?,5], expected [N,1]: one column for one feature"
    );
}

#[test]
fn an_input_holds_numbers_of_five_types() {
    for (element, expected) in [
        (DataType::Float, Element::F32),
        (DataType::Double, Element::F64),
        (DataType::Float16, Element::F16),
        (DataType::Int64, Element::I64),
        (DataType::Int32, Element::I32),
    ] {
        let file = parse(&with_input(element, &[ONE, FIVE]), "").unwrap();
        assert_eq!(file.signature.inputs[0].element, expected);
    }
}

fn with_outputs(names: &[&str], dims: &[Dim<'_>]) -> Model {
    let model = Model::new().input("x", &[ONE, FIVE]);
    names
        .iter()
        .fold(model, |model, name| model.initializer(name, &[1, 1], &[1.0_f32]).output(name, dims))
}

#[test]
fn three_outputs_with_the_names_of_the_outputs_are_taken_by_name() {
    let names = ["ram_bytes", "runtime_ns", "cpu_cores"];
    let file = parse(&with_outputs(&names, &[FREE, ONE]), "").unwrap();
    assert_eq!(file.signature.outputs, ["runtime_ns", "cpu_cores", "ram_bytes"]);
    let names =
        ["function_ram_usage", "function_cpu_usage", "function_processing_time_ns", "debug"];
    let file = parse(&with_outputs(&names, &[FREE, ONE]), "").unwrap();
    let expected = ["function_processing_time_ns", "function_cpu_usage", "function_ram_usage"];
    assert_eq!(file.signature.outputs, expected);
}

#[test]
fn three_outputs_without_such_names_are_taken_in_their_order() {
    let file = parse(&with_outputs(&["a", "b", "c"], &[FREE, ONE]), "").unwrap();
    assert_eq!(file.signature.outputs, ["a", "b", "c"]);
}

#[test]
fn names_of_outputs_that_contradict_each_other_are_refused() {
    for names in [
        &["runtime_ns", "cpu_cores", "memory"][..],
        &["runtime_ns", "function_processing_time_ns", "cpu_cores", "ram_bytes"],
        &["output", "runtime_ns", "cpu_cores", "ram_bytes"],
        &["output", "ram_bytes"],
    ] {
        let refusal = refusal(&with_outputs(names, &[FREE, ONE]), "");
        let expected = format!("the names of the {} outputs ('", names.len());
        assert!(refusal.starts_with(&expected), "{refusal}");
        assert!(refusal.contains("contradict each other"), "{refusal}");
    }
    assert!(refusal(&with_outputs(&["a", "b"], &[FREE, ONE]), "").starts_with("found 2 outputs"));
}

#[test]
fn the_order_of_the_numbers_may_be_stated_as_hyperfaas_training_programs_do() {
    let model = with_input(DataType::Float, &[ONE, FIVE])
        .metadata("targets", "function_ram_usage,function_processing_time_ns,function_cpu_usage");
    let answer = parse(&model, "").unwrap().signature.prediction([8e6, 7e6, 0.5]);
    assert_eq!(answer.to_array(), [7e6, 0.5, 8e6]);
}

#[test]
fn three_numbers_for_a_row_may_have_every_shape_that_has_one_meaning() {
    let signature = parse(&with_input(DataType::Float, &[ONE, FIVE]), "").unwrap().signature;
    let fits = |shape: &[usize], rows: usize| signature.fits(shape, rows);
    for shape in [&[1, 3][..], &[3], &[3, 1], &[1, 1, 3], &[1, 3, 1]] {
        assert!(fits(shape, 1), "{shape:?}");
    }
    assert!(fits(&[8, 3], 8) && fits(&[8, 3, 1], 8) && fits(&[3, 3], 3));
    for (shape, rows) in
        [(&[][..], 1), (&[1, 1], 1), (&[1, 4], 1), (&[2, 3], 1), (&[3, 8], 8), (&[3], 3), (&[8], 8)]
    {
        assert!(!fits(shape, rows), "{shape:?}");
    }
}

#[test]
fn one_number_for_a_row_may_have_every_shape_that_has_one_meaning() {
    let file = parse(&with_outputs(&["a", "b", "c"], &[FREE, ONE]), "").unwrap();
    let fits = |shape: &[usize], rows: usize| Signature::fits(&file.signature, shape, rows);
    for shape in [&[][..], &[1], &[1, 1], &[1, 1, 1]] {
        assert!(fits(shape, 1), "{shape:?}");
    }
    assert!(fits(&[8], 8) && fits(&[8, 1], 8));
    assert!(!fits(&[3], 1) && !fits(&[2], 8) && !fits(&[8, 8], 8));
}

#[test]
fn a_batch_that_is_too_large_to_repeat_is_refused() {
    let model = with_input(DataType::Float, &[Dim::Fixed(1025), FIVE]);
    assert_eq!(refusal(&model, ""), "the model takes 1025 rows at once, expected 1 to 1024");
    let model = with_input(DataType::Float, &[Dim::Fixed(0), FIVE]);
    assert_eq!(refusal(&model, ""), "the model takes 0 rows at once, expected 1 to 1024");
    assert!(parse(&with_input(DataType::Float, &[Dim::Fixed(1024), FIVE]), "").is_ok());
}

#[test]
fn settings_come_from_the_metadata_and_the_uri() {
    let model = with_input(DataType::Float, &[ONE, FIVE]).metadata("hyperfake.response", "echo");
    let settings = |query: &str| parse(&model, query).unwrap().info("test").settings;
    assert_eq!(settings("")["response"], "echo");
    assert_eq!(settings("?response=empty")["response"], "empty");
    assert!(Settings::NAMES.contains(&"response"));
}
