//! What tract alone refuses, and how the refusal reads.

use hyperfake_predictor_testkit::onnx::{DataType, Dim, Model};

use crate::file::{File, Tract};

const ONE_FIVE: &[Dim<'_>] = &[Dim::Fixed(1), Dim::Fixed(5)];
const ONE_THREE: &[Dim<'_>] = &[Dim::Fixed(1), Dim::Fixed(3)];

fn refusal(model: &Model) -> String {
    File::of(model).refusal()
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
fn several_outputs_without_known_names_are_refused() {
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

/// tract multiplies the bias by a factor in single precision. When this fails, tract has been fixed,
/// and the crate's documentation can lose a sentence.
#[test]
fn a_double_precision_gemm_with_a_bias_is_refused() {
    let model = Model::new()
        .input_of(DataType::Double, "input", ONE_FIVE)
        .initializer("weights", &[5, 3], &[1.0_f64; 15])
        .initializer("intercepts", &[3], &[1.0_f64; 3])
        .node("Gemm", &["input", "weights", "intercepts"], &["output"], &[])
        .output_of(DataType::Double, "output", ONE_THREE);
    let refusal = refusal(&model);
    assert!(refusal.starts_with("tract cannot prepare the graph: "), "{refusal}");
}
