//! What tract would compute otherwise than ONNX defines it, or is not known to compute.

use hyperfake_predictor_testkit::onnx::{Attribute, Model};

use super::{NONE, X, Y, framed};
use crate::file::{File, Tract};

/// The refusal of a model, after its path.
fn refusal(build: fn(Model) -> Model, opset: i64) -> String {
    File::of(&framed(build, opset, 5)).refusal()
}

/// An opset, a refusal and a graph.
type Case = (i64, &'static str, fn(Model) -> Model);

/// As far as the operator, its attribute and the value; the rest is the same for all.
#[rustfmt::skip]
const CASES: &[Case] = &[
    (13, "Mod of int64", |m| m.initializer("d", &[1], &[3_i64]).node("Cast", X, &["i"], &[("to", 7.into())]).node("Mod", &["i", "d"], Y, NONE)),
    (13, "Mod with fmod = 0", |m| m.node("Mod", &["x", "x"], Y, NONE)),
    // It counts in 32 bits.
    (13, "Mul of int64", |m| m.initializer("d", &[1], &[1_i64 << 33]).node("Cast", X, &["i"], &[("to", 7.into())]).node("Mul", &["i", "d"], Y, NONE)),
    (13, "Pow of int32", |m| m.node("Cast", X, &["i"], &[("to", 6.into())]).node("Pow", &["i", "i"], Y, NONE)),
    (15, "BatchNormalization with training_mode = 1", |m| m.node("BatchNormalization", &["x", "x", "x", "x", "x"], Y, &[("training_mode", 1.into())])),
    (6, "BatchNormalization made for training (is_test = 0)", |m| m.node("BatchNormalization", &["x", "x", "x", "x", "x"], Y, NONE)),
    (6, "Add with axis = 1", |m| m.node("Add", &["x", "x"], Y, &[("axis", 1.into())])),
    (19, "Pad with mode = wrap", |m| m.initializer("p", &[4], &[0_i64; 4]).node("Pad", &["x", "p"], Y, &[("mode", "wrap".into())])),
    (13, "Pad with a mode and a value", |m| m.initializer("p", &[4], &[0_i64; 4]).initializer("v", &[], &[0.0_f32]).node("Pad", &["x", "p", "v"], Y, &[("mode", "edge".into())])),
    (13, "Pad with negative pads", |m| m.initializer("p", &[4], &[0_i64, -1, 0, 1]).node("Pad", &["x", "p"], Y, NONE)),
    (9, "Squeeze without axes", |m| m.node("Squeeze", X, Y, NONE)),
    (12, "MaxPool with a second output", |m| m.node("MaxPool", X, &["other", "y"], NONE)),
    (11, "MaxPool with storage_order = 1", |m| m.node("MaxPool", X, Y, &[("storage_order", 1.into())])),
    (21, "DequantizeLinear with block_size = 2", |m| m.initializer("s", &[], &[1.0_f32]).node("QuantizeLinear", &["x", "s"], &["q"], NONE).node("DequantizeLinear", &["q", "s"], Y, &[("block_size", 2.into())])),
    (13, "Gelu of opset 13", |m| m.node("Gelu", X, Y, NONE)),
    // tract turns NaN into 0, where the standard propagates it.
    (13, "Max of what may be no number, such as a logarithm", |m| m.node("Log", X, &["l"], NONE).node("Max", &["l", "x"], Y, NONE)),
    // Within a branch as well.
    (13, "Mod with fmod = 0", |m| {
        let branch = Model::new().node("Mod", &["x", "x"], &["t"], NONE).output("t", &[]);
        m.initializer("z", &[], &[0.0_f32]).node("Greater", &["x", "z"], &["p"], NONE).node("If", &["p"], Y, &[("then_branch", Attribute::Graph(&branch)), ("else_branch", Attribute::Graph(&branch))])
    }),
];

#[test]
fn an_attribute_that_tract_does_not_read_is_declined_in_a_line_that_names_it() {
    for (opset, expected, build) in CASES {
        let refusal = refusal(*build, *opset);
        let expected = format!("tract is not known to compute {expected} (node 'node_");
        assert!(refusal.starts_with(&expected), "{refusal}\n{expected}");
        assert!(refusal.ends_with("'); ONNX Runtime may (backend 'ort')"), "{refusal}");
    }
}

#[test]
fn operators_that_tract_computes_otherwise_for_some_inputs_are_declined() {
    for op in [
        "LogSoftmax",
        "ReduceLogSumExp",
        "OneHot",
        "GatherND",
        "ScatterND",
        "GlobalLpPool",
        "GRU",
        "LSTM",
        "RNN",
        "Scan",
        "Loop",
    ] {
        let file = File::of(&framed(|m| m, 13, 5).node(op, X, Y, NONE));
        let expected = format!("tract does not support the operator {op}; ONNX Runtime may");
        assert!(file.refusal().starts_with(&expected), "{}", file.refusal());
    }
}

#[test]
fn a_newer_opset_than_the_table_knows_is_declined() {
    let refusal = refusal(|m| m.node("Abs", X, Y, NONE), 99);
    assert!(refusal.starts_with("tract is not known to compute opset 99"), "{refusal}");
}
