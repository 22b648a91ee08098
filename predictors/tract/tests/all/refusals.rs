//! What is refused, and how the refusal reads.

use hyperfake_predictor::Features;
use hyperfake_predictor_testkit::{
    onnx::{DataType, Dim, Model},
    reference::{LINEAR, Network},
};
use proptest::prelude::*;

use crate::file::File;

const ONE_FIVE: &[Dim<'_>] = &[Dim::Fixed(1), Dim::Fixed(5)];
const ONE_THREE: &[Dim<'_>] = &[Dim::Fixed(1), Dim::Fixed(3)];

fn refusal(model: &Model) -> String {
    File::of(model).refusal()
}

/// A model whose input has this type and shape, and whose output does not depend on it.
fn with_input(element: DataType, dims: &[Dim<'_>]) -> Model {
    Model::new()
        .input_of(element, "features", dims)
        .initializer("output", &[1, 3], &[1.0_f32; 3])
        .output("output", ONE_THREE)
}

/// A model whose output is a product with weights of `columns` columns.
fn with_columns(columns: i64) -> Model {
    Model::new()
        .input("input", ONE_FIVE)
        .initializer("weights", &[5, columns], &vec![1.0_f32; 5 * columns as usize])
        .node("MatMul", &["input", "weights"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), Dim::Fixed(columns)])
}

#[test]
fn an_input_of_another_size_type_or_number() {
    for (model, expected) in [
        (
            with_input(DataType::Float, &[Dim::Fixed(1), Dim::Fixed(4)]),
            "the model takes 4 inputs, and nothing says which; name them in its order, as in -m \
             'PATH?features=request_bytes,function_instances,worker_cpu_cores,worker_ram_bytes'",
        ),
        (
            with_input(DataType::Float, &[Dim::Fixed(1), Dim::Fixed(6)]),
            "the model takes 6 inputs, expected 1 to 5 of request_bytes,function_instances,\
             active_calls,worker_cpu_cores,worker_ram_bytes",
        ),
        (
            with_input(DataType::Float, &[Dim::Fixed(2), Dim::Named("n"), Dim::Unknown]),
            "input 'features' has the shape [2,n,?], expected [1,k], [N,k] or [?,k] with a column \
             for each feature",
        ),
        (
            with_input(DataType::Float, &[Dim::Fixed(0), Dim::Fixed(5)]),
            "the model takes 0 rows at once, expected 1 to 1024",
        ),
        (
            with_input(DataType::Float, ONE_FIVE).input("state", ONE_FIVE),
            "found 2 inputs ('features', 'state'), expected one of the shape [1,k], [N,k] or \
             [?,k], or one of the shape [N,1] for each feature, named like it",
        ),
        (
            Model::new().initializer("y", &[1, 3], &[1.0_f32; 3]).output("y", ONE_THREE),
            "found 0 inputs, expected one of the shape [1,k], [N,k] or [?,k], or one of the shape \
             [N,1] for each feature, named like it",
        ),
    ] {
        assert_eq!(refusal(&model), expected);
    }
}

#[test]
fn an_output_of_another_size_type_or_number() {
    let truths = Model::new()
        .input("input", ONE_FIVE)
        .initializer("weights", &[5, 3], &[1.0_f32; 15])
        .node("MatMul", &["input", "weights"], &["sums"], &[])
        .node("Cast", &["sums"], &["output"], &[("to", 9.into())])
        .output("output", ONE_THREE);
    let expected = "expected three numbers a row (runtime_ns, cpu_cores, ram_bytes), such as \
                    [1,3], of float, double, float16, int64 or int32";
    assert_eq!(refusal(&with_columns(7)), format!("output 'output' is [1,7] of float, {expected}"));
    assert_eq!(refusal(&truths), format!("output 'output' is [1,3] of bool, {expected}"));
    let several = Model::new()
        .input("input", ONE_FIVE)
        .node("Neg", &["input"], &["a"], &[])
        .node("Abs", &["input"], &["b"], &[])
        .output("a", ONE_FIVE)
        .output("b", ONE_FIVE);
    assert_eq!(
        refusal(&several),
        "found 2 outputs ('a', 'b'), expected one, or one that is called 'output', or three of \
         one number called runtime_ns, cpu_cores and ram_bytes"
    );
}

#[test]
fn an_unsupported_operator_is_named() {
    let model = with_columns(3)
        .opset_of("org.example", 1)
        .node("Frobnicate", &["input"], &["x"], &[])
        .node_of("org.example", "Gemm", &["input"], &["y"], &[]);
    let expected = "tract does not support the operator Frobnicate, org.example.Gemm; ONNX Runtime \
                    may (backend 'ort')";
    assert_eq!(refusal(&model), expected);
}

#[test]
fn a_graph_that_contradicts_itself() {
    let open_ended = Model::new().input("input", ONE_FIVE).output("output", ONE_THREE);
    let dangling = Model::new()
        .input("input", ONE_FIVE)
        .node("Add", &["input", "nowhere"], &["output"], &[])
        .output("output", ONE_THREE);
    let mismatched = Model::new()
        .input("input", ONE_FIVE)
        .initializer("weights", &[4, 3], &[1.0_f32; 12])
        .node("MatMul", &["input", "weights"], &["output"], &[])
        .output("output", ONE_THREE);
    let short = Model::new()
        .input("input", ONE_FIVE)
        .initializer("weights", &[5, 3], &[1.0_f32; 14])
        .node("MatMul", &["input", "weights"], &["output"], &[])
        .output("output", ONE_THREE);
    let wired_to_itself = Model::new()
        .input("input", ONE_FIVE)
        .node("Add", &["input", "output"], &["output"], &[])
        .output("output", ONE_THREE);
    for (model, expected) in [
        (open_ended, "nothing gives the output 'output'"),
        (dangling, "nothing gives 'nowhere', which the graph uses"),
        (mismatched, "tract cannot prepare the graph: "),
        (short, "tract cannot read the graph: Raw tensor data length (56) does not match"),
        (wired_to_itself, "tract cannot prepare the graph: Loop detected"),
    ] {
        let refusal = refusal(&model);
        assert!(refusal.starts_with(expected) && refusal.len() < 400, "{refusal}");
    }
}

/// The number of instances picks a row of a table with two rows, and tract does not check it.
#[test]
fn a_graph_that_fails_for_some_features_names_the_file_and_goes_on() {
    let model = Model::new()
        .input("input", ONE_FIVE)
        .initializer("column", &[1], &[1_i64])
        .initializer("table", &[2, 3], &[0.0_f32, 0.0, 0.0, 1.0, 2.0, 3.0])
        .node("Gather", &["input", "column"], &["instances"], &[("axis", 1.into())])
        .node("Cast", &["instances"], &["row"], &[("to", 7.into())])
        .node("Squeeze", &["row", "zero"], &["index"], &[])
        .initializer("zero", &[1], &[0_i64])
        .node("Gather", &["table", "index"], &["output"], &[("axis", 0.into())])
        .output("output", ONE_THREE);
    let file = File::of(&model);
    let mut session = file.open().unwrap().session().unwrap();
    let crowded = Features { function_instances: 7.0, ..Features::IDLE };
    for _ in 0..2 {
        let error = session.predict(&crowded).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}: tract panicked: ", file.path.display())),
            "{error}"
        );
        assert_eq!(session.predict(&Features::IDLE).unwrap().to_array(), [1.0, 2.0, 3.0]);
    }
}

/// Every length of a small file, so that each field is cut somewhere.
#[test]
fn a_file_cut_anywhere_is_opened_or_refused() {
    let bytes = LINEAR.to_onnx().metadata("hyperfake.response", "echo").to_bytes();
    for length in 1..bytes.len() {
        let file = File::of_bytes(&bytes[..length]);
        if file.open_registered().is_err() {
            file.refusal();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A panic inside tract is caught and reported; it must not escape.
    #[test]
    fn a_damaged_file_is_opened_or_refused(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = Network::sample(&[4], 1).to_onnx().to_bytes();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let file = File::of_bytes(&bytes);
        if let Ok(predictor) = file.open_registered() {
            let _ = predictor.session().unwrap().predict(&Features::IDLE);
        } else {
            file.refusal();
        }
    }
}
