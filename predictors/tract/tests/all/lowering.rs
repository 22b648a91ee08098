//! Each operator that dense knows, in each form in which it is written, against tract; and what it
//! leaves to tract.

use hyperfake_predictor::{Backend, ErrorKind, RawPrediction};
use hyperfake_predictor_testkit::{
    onnx::{Attribute, DataType, Dim, Model},
    reference::LINEAR,
    samples,
};
use hyperfake_predictor_tract::{DenseBackend, TractBackend};

use crate::file::File;

const ONE_FIVE: &[Dim<'_>] = &[Dim::Fixed(1), Dim::Fixed(5)];
const ONE_THREE: &[Dim<'_>] = &[Dim::Fixed(1), Dim::Fixed(3)];

/// A small layer from `input` to `x` `[1,3]`, with values around zero; `wire` goes on to
/// `output`.
fn model(wire: impl FnOnce(Model) -> Model) -> Model {
    let weights =
        [0.6_f32, -0.4, 0.3, -0.7, 0.2, 0.9, 0.5, 0.8, -0.6, 0.1, -0.2, 0.4, -0.3, 0.7, -0.5];
    let model = Model::new()
        .input("input", ONE_FIVE)
        .initializer("mean", &[5], &[5e5_f32, 20.0, 50.0, 16.0, 8e9])
        .initializer("scale", &[1, 5], &[3e5_f32, 12.0, 30.0, 9.0, 5e9])
        .initializer("first", &[5, 3], &weights)
        .initializer("square", &[3, 3], &[1.0_f32, -2.0, 0.5, 0.25, 1.5, -1.0, 0.75, 0.1, 2.0])
        .initializer("three", &[3], &[0.5_f32, -0.25, 2.0])
        .initializer("row", &[1, 3], &[3.0_f32, 0.5, -1.0])
        .initializer("positive", &[3], &[0.5_f32, 2.0, 1.25])
        .initializer("number", &[], &[1.5_f32])
        .initializer("one", &[1], &[0.75_f32])
        .node("Sub", &["input", "mean"], &["centred"], &[])
        .node("Div", &["centred", "scale"], &["scaled"], &[])
        .node("MatMul", &["scaled", "first"], &["x"], &[]);
    wire(model).output("output", ONE_THREE)
}

type Attributes<'a> = &'a [(&'a str, Attribute<'a>)];

fn node(op: &str, inputs: &[&str], attributes: Attributes<'_>) -> Model {
    model(|model| model.node(op, inputs, &["output"], attributes))
}

fn agrees(model: &Model, what: &str) {
    let file = File::of(model);
    let open = |backend: &dyn Backend| match backend.open(&file.uri()) {
        Ok(predictor) => predictor.session().unwrap(),
        Err(error) => panic!("{what}: {error}"),
    };
    let (mut dense, mut tract) = (open(&DenseBackend), open(&TractBackend));
    for features in samples::ordinary() {
        let (found, expected) =
            (dense.predict(&features).unwrap(), tract.predict(&features).unwrap());
        for (found, expected) in found.to_array().into_iter().zip(expected.to_array()) {
            assert!(
                (found - expected).abs() <= 2e-6 + 1e-5 * expected.abs(),
                "{what}: {found} {expected}"
            );
        }
    }
}

/// Why dense leaves a file to tract.
fn refusal(model: &Model) -> String {
    let file = File::of(model);
    let error = DenseBackend.open(&file.uri()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    error.to_string().strip_prefix(&format!("{}: ", file.path.display())).unwrap().to_owned()
}

#[test]
fn every_operator_that_dense_knows_answers_as_in_tract() {
    let cases: &[(&str, &[&str], Attributes<'_>)] = &[
        ("Add", &["x", "three"], &[]),
        ("Add", &["row", "x"], &[]),
        ("Add", &["x", "number"], &[]),
        ("Sub", &["x", "one"], &[]),
        ("Sub", &["row", "x"], &[]),
        ("Mul", &["x", "row"], &[]),
        ("Mul", &["number", "x"], &[]),
        ("Div", &["x", "three"], &[]),
        ("Neg", &["x"], &[]),
        ("MatMul", &["x", "square"], &[]),
        ("Gemm", &["x", "square"], &[]),
        ("Gemm", &["x", "square", "three"], &[("transB", Attribute::Int(1))]),
        ("Gemm", &["x", "square", "number"], &[("transA", Attribute::Int(0))]),
        (
            "Gemm",
            &["x", "square", "row"],
            &[("alpha", Attribute::Float(0.5)), ("beta", Attribute::Float(-2.0))],
        ),
        ("BatchNormalization", &["x", "three", "three", "three", "positive"], &[]),
        (
            "BatchNormalization",
            &["x", "three", "three", "three", "positive"],
            &[("epsilon", Attribute::Float(0.25)), ("momentum", Attribute::Float(0.9))],
        ),
        ("Relu", &["x"], &[]),
        ("LeakyRelu", &["x"], &[]),
        ("LeakyRelu", &["x"], &[("alpha", Attribute::Float(0.3))]),
        ("Elu", &["x"], &[]),
        ("Elu", &["x"], &[("alpha", Attribute::Float(0.4))]),
        ("Tanh", &["x"], &[]),
        ("Sigmoid", &["x"], &[]),
        ("Clip", &["x"], &[]),
        ("Clip", &["x", "number"], &[]),
        ("Clip", &["x", "", "number"], &[]),
        ("Clip", &["x", "number", "limit"], &[]),
        ("Identity", &["x"], &[]),
        ("Dropout", &["x"], &[]),
        ("Dropout", &["x", "number"], &[]),
        ("Cast", &["x"], &[("to", Attribute::Int(1))]),
        ("Flatten", &["x"], &[]),
        ("Flatten", &["x"], &[("axis", Attribute::Int(1))]),
        ("Reshape", &["x", "shape"], &[]),
        ("Reshape", &["x", "same"], &[]),
    ];
    for (op, inputs, attributes) in cases {
        let model = node(op, inputs, attributes)
            .initializer("limit", &[], &[2.5_f32])
            .initializer("shape", &[2], &[-1_i64, 3])
            .initializer("same", &[2], &[0_i64, -1]);
        agrees(&model, &format!("{op}({inputs:?})"));
    }
}

#[test]
fn a_softplus_in_each_of_its_forms() {
    let small = |model: Model| {
        model.initializer("low", &[], &[-30.0_f32]).initializer("high", &[], &[30.0_f32]).node(
            "Clip",
            &["x", "low", "high"],
            &["y"],
            &[],
        )
    };
    agrees(&model(|m| small(m).node("Softplus", &["y"], &["output"], &[])), "Softplus");
    for threshold in [20.0_f32, 0.5] {
        let choice = model(|model| {
            model
                .initializer("threshold", &[], &[threshold])
                .node("Greater", &["x", "threshold"], &["large"], &[])
                .node("Softplus", &["x"], &["positive"], &[])
                .node("Where", &["large", "x", "positive"], &["output"], &[])
        });
        agrees(&choice, "Where");
    }
}

#[test]
fn a_softplus_of_large_values_is_the_identity() {
    let model =
        model(|model| {
            model
                .initializer("large", &[], &[1e6_f32])
                .node("Add", &["x", "large"], &["y"], &[])
                .node("Softplus", &["y"], &["output"], &[])
        });
    agrees(&model, "Softplus");
}

#[test]
fn constants_may_be_nodes_and_the_last_cast_may_be_to_double() {
    let model = Model::new()
        .opset(11)
        .input_of(DataType::Double, "input", &[Dim::Named("n"), Dim::Fixed(5)])
        .node("Cast", &["input"], &["x"], &[("to", 1.into())])
        .node("Constant", &[], &["half"], &[("value_float", 0.5.into())])
        .node("Mul", &["x", "half"], &["y"], &[])
        .initializer("weights", &[5, 3], &[1.0_f32; 15])
        .node("MatMul", &["y", "weights"], &["z"], &[])
        .node("Cast", &["z"], &["output"], &[("to", 11.into())])
        .output_of(DataType::Double, "output", &[Dim::Named("n"), Dim::Fixed(3)]);
    let file = File::of(&model);
    let predictor = DenseBackend.open(&file.uri()).unwrap();
    let answer = predictor.session().unwrap().predict(&samples::ordinary()[0]).unwrap();
    assert_eq!(answer, RawPrediction::from_array([0.5; 3]));
}

#[test]
fn clip_of_an_old_opset_has_its_bounds_in_attributes() {
    let attributes = [("min", Attribute::Float(-0.5)), ("max", Attribute::Float(0.75))];
    agrees(&node("Clip", &["x"], &attributes).opset(9), "Clip");
}

#[test]
fn external_weights_are_read() {
    let model = Model::new()
        .input("input", ONE_FIVE)
        .external_initializer("weights", &[5, 3], "weights.bin")
        .node("MatMul", &["input", "weights"], &["output"], &[])
        .output("output", ONE_THREE);
    let file = File::of(&model);
    let data: Vec<u8> = (0..15_u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
    std::fs::write(file.folder.path().join("weights.bin"), data).unwrap();
    let predictor = DenseBackend.open(&file.uri()).unwrap();
    let answer = predictor.session().unwrap().predict(&samples::ordinary()[0]).unwrap();
    assert_eq!(answer, RawPrediction::from_array([3.0, 4.0, 5.0]));
}

#[test]
fn a_graph_that_is_no_chain_is_refused_by_the_node_that_breaks_it() {
    let cases = [
        (
            model(|model| {
                model.node("Relu", &["x"], &["a"], &[]).node("Tanh", &["x"], &["b"], &[]).node(
                    "Add",
                    &["a", "b"],
                    &["output"],
                    &[],
                )
            }),
            "dense cannot lower node 'node_a' (Relu): 'x' also goes to node 'node_b' (Tanh)",
        ),
        (
            node("Mul", &["x", "x"], &[]),
            "dense cannot lower node 'node_output' (Mul): it takes its input twice",
        ),
        (
            model(|model| {
                model
                    .initializer("shape", &[3], &[1_i64, 1, 3])
                    .initializer("kernel", &[1, 1, 1], &[2.0_f32])
                    .node("Reshape", &["x", "shape"], &["signal"], &[])
                    .node("Conv", &["signal", "kernel"], &["output"], &[])
            }),
            "dense cannot lower node 'node_signal' (Reshape): it reshapes to [1.0, 1.0, 3.0]",
        ),
        (node("Conv", &["x", "square"], &[]), "dense cannot lower node 'node_output' (Conv)"),
        (
            node("Div", &["number", "x"], &[]),
            "dense cannot lower node 'node_output' (Div): what leads to it is not its first input",
        ),
        (
            node("Gemm", &["x", "square"], &[("transA", 1.into())]),
            "dense cannot lower node 'node_output' (Gemm): it transposes its input",
        ),
        (
            node("MatMul", &["x", "first"], &[]),
            "dense cannot lower node 'node_output' (MatMul): its weights have the shape [5, 3], \
             its input has 3",
        ),
        (
            model(|model| {
                model.node("Exp", &["three"], &["made"], &[]).node(
                    "Add",
                    &["x", "made"],
                    &["output"],
                    &[],
                )
            }),
            "dense cannot lower node 'node_output' (Add): 'made' is not a constant",
        ),
        (node("Identity", &["three"], &[]), "nothing leads from 'input' to the output"),
        (node("Identity", &["scaled"], &[]), "the network gives 5 numbers, expected 3"),
        (
            Model::new()
                .input_of(DataType::Double, "input", ONE_FIVE)
                .initializer("weights", &[5, 3], &[1.0_f64; 15])
                .node("MatMul", &["input", "weights"], &["sums"], &[])
                .node("Tanh", &["sums"], &["output"], &[])
                .output_of(DataType::Double, "output", ONE_THREE),
            "dense cannot lower node 'node_output' (Tanh): it computes in double precision",
        ),
        (
            Model::new()
                .opset_of("org.example", 1)
                .input("input", ONE_FIVE)
                .node_of("org.example", "Relu", &["input"], &["output"], &[])
                .output("output", ONE_THREE),
            "dense cannot lower node 'node_output' (Relu): it is of the domain org.example",
        ),
    ];
    for (model, expected) in cases {
        assert_eq!(refusal(&model), expected);
    }
}

#[test]
fn a_network_that_is_not_small_is_left_to_tract() {
    let large = Model::new()
        .input("input", ONE_FIVE)
        .initializer("wide", &[5, 150_000], &vec![0.01_f32; 750_000])
        .initializer("narrow", &[150_000, 3], &vec![0.01_f32; 450_000])
        .node("MatMul", &["input", "wide"], &["hidden"], &[])
        .node("MatMul", &["hidden", "narrow"], &["output"], &[])
        .output("output", ONE_THREE);
    let expected = "dense takes networks of at most 1048576 multiplications, this one has 1200000";
    assert_eq!(refusal(&large), expected);
}

#[test]
fn a_choice_that_is_not_a_softplus_is_refused() {
    let choice = |then: &str, otherwise: &str| {
        refusal(&model(|model| {
            model
                .node("Greater", &["x", "number"], &["large"], &[])
                .node("Softplus", &["x"], &["positive"], &[])
                .node("Where", &["large", then, otherwise], &["output"], &[])
        }))
    };
    for (then, otherwise) in [("positive", "x"), ("positive", "positive"), ("three", "positive")] {
        let refusal = choice(then, otherwise);
        assert!(refusal.contains("'x' also goes to node"), "{refusal}");
    }
}

#[test]
fn a_branch_that_the_output_does_not_need_is_ignored() {
    agrees(
        &model(|model| {
            model.node("Sin", &["x"], &["waves"], &[]).node("Relu", &["x"], &["output"], &[])
        }),
        "a dead branch",
    );
    let linear = LINEAR.to_onnx().node("Neg", &["output"], &["negated"], &[]);
    agrees(&linear.output("negated", ONE_THREE), "a second output");
}
