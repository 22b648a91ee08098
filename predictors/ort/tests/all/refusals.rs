//! What is refused, and how the refusal reads.

use hyperfake_predictor::Features;
use hyperfake_predictor_testkit::{
    onnx::{DataType, Dim, Model},
    reference::Network,
};
use proptest::prelude::*;

use crate::file::{File, runtime};

const ONE_FIVE: &[Dim<'_>] = &[Dim::Fixed(1), Dim::Fixed(5)];
const ONE_THREE: &[Dim<'_>] = &[Dim::Fixed(1), Dim::Fixed(3)];

/// A model whose output is a product with weights of `columns` columns.
fn with_columns(columns: i64) -> Model {
    Model::new()
        .input("input", ONE_FIVE)
        .initializer("weights", &[5, columns], &vec![1.0_f32; 5 * columns as usize])
        .node("MatMul", &["input", "weights"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), Dim::Fixed(columns)])
}

/// What a file declares is refused alike for every engine, in the crate for ONNX files; this is what
/// only a run shows.
#[test]
fn outputs_that_turn_out_to_have_another_size_or_type() {
    if runtime("outputs_that_turn_out_to_have_another_size_or_type").is_none() {
        return;
    }
    let truths = Model::new()
        .input("input", ONE_FIVE)
        .initializer("weights", &[5, 3], &[1.0_f32; 15])
        .node("MatMul", &["input", "weights"], &["sums"], &[])
        .node("Cast", &["sums"], &["output"], &[("to", 9.into())])
        .output_of(DataType::Bool, "output", ONE_THREE);
    let expected = "expected three numbers a row (runtime_ns, cpu_cores, ram_bytes), such as \
                    [1,3], of float, double, float16, int64 or int32";
    for (model, found) in [(with_columns(7), "[1,7] of float"), (truths, "[1,3] of bool")] {
        assert_eq!(File::of(&model).refusal(), format!("output 'output' is {found}, {expected}"));
    }
}

#[test]
fn an_unknown_operator_or_missing_data_is_named() {
    if runtime("an_unknown_operator_or_missing_data_is_named").is_none() {
        return;
    }
    let unknown = with_columns(3).opset_of("org.example", 1).node_of(
        "org.example",
        "Frobnicate",
        &["input"],
        &["y"],
        &[],
    );
    let refusal = File::of(&unknown).refusal();
    assert!(refusal.contains("Frobnicate"), "{refusal}");
    let external = Model::new()
        .input("input", ONE_FIVE)
        .external_initializer("weights", &[5, 3], "weights.bin")
        .node("MatMul", &["input", "weights"], &["output"], &[])
        .output("output", ONE_THREE);
    let refusal = File::of(&external).refusal();
    assert!(refusal.contains("weights.bin"), "{refusal}");
}

/// The number of instances picks a row of a table with two rows.
#[test]
fn a_graph_that_fails_for_some_features_names_the_file_and_goes_on() {
    if runtime("a_graph_that_fails_for_some_features_names_the_file_and_goes_on").is_none() {
        return;
    }
    let model = Model::new()
        .input("input", ONE_FIVE)
        .initializer("column", &[1], &[1_i64])
        .initializer("zero", &[1], &[0_i64])
        .initializer("table", &[2, 3], &[0.0_f32, 0.0, 0.0, 1.0, 2.0, 3.0])
        .node("Gather", &["input", "column"], &["instances"], &[("axis", 1.into())])
        .node("Cast", &["instances"], &["row"], &[("to", 7.into())])
        .node("Squeeze", &["row", "zero"], &["index"], &[])
        .node("Gather", &["table", "index"], &["output"], &[("axis", 0.into())])
        .output("output", ONE_THREE);
    let file = File::of(&model);
    let mut session = file.open().unwrap().session().unwrap();
    let crowded = Features { function_instances: 7.0, ..Features::IDLE };
    for _ in 0..2 {
        let error = session.predict(&crowded).unwrap_err().to_string();
        let start = format!("{}: ONNX Runtime cannot run the model: ", file.path.display());
        assert!(error.starts_with(&start), "{error}");
        assert_eq!(session.predict(&Features::IDLE).unwrap().to_array(), [1.0, 2.0, 3.0]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_is_opened_or_refused(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        if runtime("a_damaged_file_is_opened_or_refused").is_none() {
            return Ok(());
        }
        let mut bytes = Network::sample(&[4], 1).to_onnx().to_bytes();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let file = File::of_bytes("model.onnx", &bytes);
        match file.open() {
            Ok(model) => drop(model.session().unwrap().predict(&Features::IDLE)),
            Err(_) => drop(file.refusal()),
        }
    }
}
