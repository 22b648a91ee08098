//! Operators that take values of several dimensions are declined where there are fewer.

use hyperfake_predictor_testkit::onnx::{Dim, Model};

use crate::file::{File, Tract};

/// tract read the number of channels from beyond the shape [3], which ended the process in a build
/// with checks.
#[test]
fn a_normalisation_of_one_dimension_is_declined() {
    let model = Model::new()
        .input("input", &[Dim::Fixed(5)])
        .initializer("w", &[5, 3], &[0.5_f32; 15])
        .initializer("scale", &[3], &[1.0_f32, 2.0, 3.0])
        .initializer("shift", &[3], &[0.0_f32; 3])
        .initializer("mean", &[3], &[0.25_f32; 3])
        .initializer("variance", &[3], &[1.0_f32; 3])
        .node("MatMul", &["input", "w"], &["x"], &[])
        .node("BatchNormalization", &["x", "scale", "shift", "mean", "variance"], &["output"], &[])
        .output("output", &[Dim::Fixed(3)]);
    let error = File::of(&model).open().unwrap_err().to_string();
    let expected = "BatchNormalization of 1 dimensions, where it takes at least 2";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_window_that_has_nothing_to_move_along_is_declined() {
    for (op, inputs) in [
        ("GlobalAveragePool", &["input"][..]),
        ("Conv", &["input", "kernel"]),
        ("GlobalMaxPool", &["input"]),
    ] {
        let model = Model::new()
            .input("input", &[Dim::Fixed(1), Dim::Fixed(5)])
            .initializer("kernel", &[3, 5], &[1.0_f32; 15])
            .node(op, inputs, &["output"], &[])
            .output("output", &[Dim::Fixed(1), Dim::Fixed(3)]);
        let error = File::of(&model).open().unwrap_err().to_string();
        assert!(error.contains("of 2 dimensions, where it takes at least 3"), "{op}: {error}");
    }
}

/// What an Einsum gives is not worked out.
#[test]
fn a_normalisation_of_dimensions_that_are_not_known_is_declined() {
    let model = Model::new()
        .input("input", &[Dim::Fixed(1), Dim::Fixed(5)])
        .initializer("w", &[5, 3], &[0.5_f32; 15])
        .initializer("of_each", &[3], &[1.0_f32; 3])
        .node("MatMul", &["input", "w"], &["x"], &[])
        .node("Einsum", &["x"], &["y"], &[("equation", "ij->j".into())])
        .node(
            "BatchNormalization",
            &["y", "of_each", "of_each", "of_each", "of_each"],
            &["output"],
            &[],
        )
        .output("output", &[Dim::Fixed(3)]);
    let error = File::of(&model).open().unwrap_err().to_string();
    let expected = "BatchNormalization of dimensions that the file leaves open";
    assert!(error.contains(expected), "{error}");
}
