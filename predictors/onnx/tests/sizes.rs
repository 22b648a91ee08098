//! A small file that asks for much memory is refused before an engine is given it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use hyperfake_predictor::{ErrorKind, ModelUri, Result};
use hyperfake_predictor_onnx::OnnxFile;
use hyperfake_predictor_testkit::{
    onnx::{Attribute, Dim, Model},
    reference,
};

fn parse(model: &Model) -> Result<OnnxFile> {
    OnnxFile::parse(&ModelUri::from_path("no-such-file.onnx"), model.to_bytes())
}

/// `input` times weights, plus the sum of `big`, which the caller's nodes give.
fn with_big(model: Model) -> Model {
    model
        .input("input", &[Dim::Fixed(1), Dim::Fixed(5)])
        .initializer("w", &[5, 3], &[1.0_f32; 15])
        .node("ReduceSum", &["big"], &["sum"], &[("keepdims", 0.into())])
        .node("MatMul", &["input", "w"], &["product"], &[])
        .node("Add", &["product", "sum"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), Dim::Fixed(3)])
}

fn node(op: &str, inputs: &[&str]) -> Model {
    Model::new().node(op, inputs, &["big"], &[])
}

/// Each would give 3 * 2^28 numbers, 3 GiB in single precision, or more.
fn large() -> Vec<Model> {
    let ones = |count: usize| vec![1.0_f32; count];
    vec![
        node("ConstantOfShape", &["s"]).initializer("s", &[1], &[3_i64 << 28]),
        node("ConstantOfShape", &["s"]).initializer("s", &[2], &[i64::MAX, i64::MAX]),
        node("Expand", &["one", "s"]).initializer("one", &[1, 1], &[1.0_f32]).initializer(
            "s",
            &[2],
            &[1_i64 << 15, 3 << 13],
        ),
        node("Expand", &["input", "s"]).initializer("s", &[4], &[1_i64 << 15, 3 << 13, 1, 5]),
        node("Tile", &["input", "s"]).initializer("s", &[2], &[1_i64 << 15, 3 << 13]),
        node("Range", &["from", "to", "by"])
            .initializer("from", &[], &[0.0_f32])
            .initializer("to", &[], &[805_306_368.0_f32])
            .initializer("by", &[], &[1.0_f32]),
        node("Pad", &["input", "p"]).initializer("p", &[4], &[0_i64, 0, 1 << 15, 3 << 13]),
        node("OneHot", &["places", "depth", "two"])
            .initializer("places", &[3000], &[0_i64; 3000])
            .initializer("depth", &[1], &[1_i64 << 18])
            .initializer("two", &[2], &[0.0_f32, 1.0]),
        node("Resize", &["image", "", "scales"])
            .initializer("image", &[1, 1, 2, 2], &[1.0_f32; 4])
            .initializer("scales", &[4], &[1.0_f32, 1.0, 20_000.0, 20_000.0]),
        // 1000 * 1000 * 1000.
        Model::new()
            .initializer("a", &[1000, 1, 1], &ones(1000))
            .initializer("b", &[1000, 1], &ones(1000))
            .initializer("c", &[1000], &ones(1000))
            .node("Mul", &["a", "b"], &["ab"], &[])
            .node("Mul", &["ab", "c"], &["big"], &[]),
        // 30,000 * 30,000.
        Model::new()
            .initializer("column", &[30_000], &ones(30_000))
            .node("Unsqueeze", &["column"], &["a"], &[("axes", Attribute::Ints(&[1]))])
            .node("Unsqueeze", &["column"], &["b"], &[("axes", Attribute::Ints(&[0]))])
            .node("MatMul", &["a", "b"], &["big"], &[]),
    ]
}

#[test]
fn a_graph_that_needs_gigabytes_is_refused_by_the_node_that_asks_for_them() {
    for model in large() {
        let error = parse(&with_big(model)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        let text = error.to_string();
        assert!(text.starts_with("node 'node_big' ("), "{text}");
        assert!(text.contains("together may give 67108864 numbers for a row"), "{text}");
    }
    let error = parse(&with_big(large().remove(0))).unwrap_err().to_string();
    assert!(
        error.starts_with("node 'node_big' (ConstantOfShape) gives [805306368], and"),
        "{error}"
    );
}

#[test]
fn many_large_nodes_count_together() {
    let mut model = Model::new().initializer("s", &[1], &[1_i64 << 24]);
    for name in ["a", "b", "c", "d", "big"] {
        model = model.node("ConstantOfShape", &["s"], &[name], &[]);
    }
    assert!(parse(&with_big(model)).is_err());
    let model = node("ConstantOfShape", &["s"]).initializer("s", &[1], &[1_i64 << 24]);
    parse(&with_big(model)).unwrap();
}

#[test]
fn graphs_of_usual_sizes_are_not_refused() {
    parse(&reference::LINEAR.to_onnx()).unwrap();
    parse(&reference::LINEAR.to_onnx_with(Dim::Fixed(1024))).unwrap();
    parse(&reference::Network::sample(&[512, 512, 256], 1).to_onnx()).unwrap();
    let sizes = node("Expand", &["input", "s"]).initializer("s", &[3], &[64_i64, 1, 5]);
    parse(&with_big(sizes)).unwrap();
}
