//! Linear models as scikit-learn's exporters write them: `Scaler`, `LinearRegressor`, several
//! models of one number side by side, double precision.

use hyperfake_predictor::{Backend, ErrorKind, Features, RawPrediction};
use hyperfake_predictor_testkit::{
    Conformance, ReferenceModel,
    onnx::{Attribute, DataType, Dim, Model},
    reference::LINEAR,
};
use hyperfake_predictor_tract::{DenseBackend, TractBackend};

use crate::file::File;

const ML: &str = "ai.onnx.ml";
const FREE_FIVE: &[Dim<'_>] = &[Dim::Unknown, Dim::Fixed(5)];
const FREE_THREE: &[Dim<'_>] = &[Dim::Unknown, Dim::Fixed(3)];

fn begun() -> Model {
    Model::new().opset_of(ML, 1).input("input", FREE_FIVE)
}

fn weights() -> Vec<f32> {
    LINEAR.weights.as_flattened().iter().map(|weight| *weight as f32).collect()
}

fn regressor(model: Model, coefficients: &[f32], intercepts: &[f32], targets: i64) -> Model {
    let attributes = [
        ("coefficients", Attribute::Floats(coefficients)),
        ("intercepts", Attribute::Floats(intercepts)),
        ("targets", Attribute::Int(targets)),
        ("post_transform", Attribute::Text("NONE")),
    ];
    model.node_of(ML, "LinearRegressor", &["x"], &["y"], &attributes)
}

/// Both backends have every property.
fn conforms(model: &Model, tolerance: f64) {
    let file = File::of(model);
    let known = || ReferenceModel::new(file.uri(), |features| LINEAR.predict(features), tolerance);
    Conformance::of(DenseBackend).model(known()).run();
    Conformance::of(TractBackend).model(known()).run();
}

fn refusal(model: &Model) -> String {
    let file = File::of(model);
    let error = DenseBackend.open(&file.uri()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    error.to_string().strip_prefix(&format!("{}: ", file.path.display())).unwrap().to_owned()
}

#[test]
fn a_linear_regressor_of_three_targets_answers_as_its_law() {
    let intercepts = LINEAR.intercepts.map(|intercept| intercept as f32);
    let model = begun().node("Identity", &["input"], &["x"], &[]);
    let model = regressor(model, &weights(), &intercepts, 3)
        .node("Cast", &["y"], &["output"], &[("to", Attribute::Int(1))])
        .output("output", FREE_THREE);
    conforms(&model, 1e-6);
}

/// `(x - offset) * scale`, undone by the coefficients and the intercepts.
#[test]
fn a_scaler_subtracts_before_it_multiplies() {
    let (offset, scale) = ([1e5_f32, 20.0, 50.0, 16.0, 8e9], [1e-5_f32, 0.1, 0.05, 0.25, 1e-9]);
    let mut coefficients = Vec::new();
    let mut intercepts = Vec::new();
    for (row, intercept) in LINEAR.weights.iter().zip(LINEAR.intercepts) {
        let columns = row.iter().zip(offset).zip(scale);
        coefficients.extend(columns.map(|((weight, _), scale)| (weight / f64::from(scale)) as f32));
        let shift: f64 = row.iter().zip(offset).map(|(w, offset)| w * f64::from(offset)).sum();
        intercepts.push((intercept + shift) as f32);
    }
    let attributes = |scale: &'static [f32], offset: &'static [f32]| {
        [("scale", Attribute::Floats(scale)), ("offset", Attribute::Floats(offset))]
    };
    let scaler =
        attributes(Box::leak(Box::new(scale)).as_slice(), Box::leak(Box::new(offset)).as_slice());
    let single = begun().node_of(ML, "Scaler", &["input"], &["x"], &scaler);
    let model = regressor(single, &coefficients, &intercepts, 3)
        .node("Identity", &["y"], &["output"], &[])
        .output("output", FREE_THREE);
    conforms(&model, 1e-5);
    // The answer of a scaler is single precision for any input.
    let double = Model::new()
        .opset_of(ML, 1)
        .input_of(DataType::Double, "input", FREE_FIVE)
        .node_of(ML, "Scaler", &["input"], &["x"], &scaler);
    let model = regressor(double, &coefficients, &intercepts, 3)
        .node("Identity", &["y"], &["output"], &[])
        .output("output", FREE_THREE);
    conforms(&model, 1e-5);
    // One number for all columns.
    let half = attributes(&[0.5], &[-2.0]);
    let model = begun()
        .node_of(ML, "Scaler", &["input"], &["x"], &half)
        .initializer("first", &[5, 3], &[1.0_f32; 15])
        .node("MatMul", &["x", "first"], &["output"], &[])
        .output("output", FREE_THREE);
    let answer = DenseBackend
        .open(&File::of(&model).uri())
        .unwrap()
        .session()
        .unwrap()
        .predict(&Features::from_array([2.0, 4.0, 6.0, 8.0, 10.0]))
        .unwrap();
    // (2 + 4 + 6 + 8 + 10 + 5 * 2) / 2
    assert_eq!(answer, RawPrediction::from_array([20.0; 3]));
}

/// The middle one is written in another way than the others.
#[test]
fn models_of_one_number_are_joined_in_the_order_of_the_concat() {
    let mut model = begun().initializer("column", &[2], &[-1_i64, 1]);
    for (target, name) in ["a", "b", "c"].into_iter().enumerate() {
        let row = LINEAR.weights[target].map(|weight| weight as f32);
        let intercept = [LINEAR.intercepts[target] as f32];
        let raw = format!("raw_{name}");
        model = if target == 1 {
            let sums = format!("sums_{name}");
            model
                .initializer("weights", &[5, 1], &row)
                .initializer("intercept", &[1], &intercept)
                .node("MatMul", &["input", "weights"], &[&sums], &[])
                .node("Add", &[&sums, "intercept"], &[&raw], &[])
        } else {
            let attributes = [
                ("coefficients", Attribute::Floats(&row)),
                ("intercepts", Attribute::Floats(&intercept)),
            ];
            model.node_of(ML, "LinearRegressor", &["input"], &[&raw], &attributes)
        };
        model = model.node("Reshape", &[&raw, "column"], &[name], &[]);
    }
    let joined = |order: [&str; 3]| {
        model
            .clone()
            .node("Concat", &order, &["output"], &[("axis", Attribute::Int(1))])
            .output("output", FREE_THREE)
    };
    conforms(&joined(["a", "b", "c"]), 1e-6);
    let file = File::of(&joined(["c", "a", "b"]));
    let mut session = DenseBackend.open(&file.uri()).unwrap().session().unwrap();
    let [a, b, c] = LINEAR.predict(&Features::IDLE).to_array();
    let answer = session.predict(&Features::IDLE).unwrap().to_array();
    for (found, expected) in answer.into_iter().zip([c, a, b]) {
        assert!((found - expected).abs() <= 1e-6 * expected, "{found} {expected}");
    }
    let rows = model
        .clone()
        .node("Concat", &["a", "b", "c"], &["output"], &[("axis", Attribute::Int(0))])
        .output("output", FREE_THREE);
    assert!(refusal(&rows).contains("'input' also goes to node"), "{}", refusal(&rows));
}

fn double(offset: f64, scale: f64) -> Model {
    let mut offsets = [0.0; 5];
    let mut scales = [1.0; 5];
    (offsets[4], scales[4]) = (offset, scale);
    let weights: Vec<f64> =
        (0..5).flat_map(|column| LINEAR.weights.map(|row| row[column] * scales[column])).collect();
    let shifted = [0, 1, 2].map(|row| {
        let shift: f64 = LINEAR.weights[row].iter().zip(offsets).map(|(w, o)| w * o).sum();
        LINEAR.intercepts[row] + shift
    });
    Model::new()
        .input_of(DataType::Double, "input", FREE_FIVE)
        .initializer("offsets", &[5], &offsets)
        .initializer("scales", &[5], &scales)
        .initializer("weights", &[5, 3], &weights)
        .initializer("intercepts", &[3], &shifted)
        .node("Sub", &["input", "offsets"], &["centred"], &[])
        .node("Div", &["centred", "scales"], &["scaled"], &[])
        .node("MatMul", &["scaled", "weights"], &["sums"], &[])
        .node("Add", &["sums", "intercepts"], &["output"], &[])
        .output_of(DataType::Double, "output", FREE_THREE)
}

/// 8 GB with a deviation of 1 kB: single precision holds 8e9 to 512 bytes.
#[test]
fn double_precision_is_left_to_tract_where_single_precision_loses_what_counts() {
    conforms(&double(8e9, 5e9), 1e-5);
    let narrow = double(8e9, 1e3);
    assert_eq!(
        refusal(&narrow),
        "column 4 needs double precision: -8e9 is added to it, and it is multiplied by 1e-3"
    );
    let file = File::of(&narrow);
    let known = ReferenceModel::new(file.uri(), |features| LINEAR.predict(features), 1e-9);
    Conformance::of(TractBackend).model(known).run();
}

#[test]
fn a_linear_regressor_that_contradicts_itself_or_transforms_is_refused() {
    let with = |attributes: &[(&str, Attribute<'_>)]| {
        let model = begun()
            .node_of(ML, "LinearRegressor", &["input"], &["output"], attributes)
            .output("output", FREE_THREE);
        let text = refusal(&model);
        let prefix = "dense cannot lower node 'node_output' (LinearRegressor): ";
        text.strip_prefix(prefix).unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    let weights = weights();
    let coefficients = ("coefficients", Attribute::Floats(&weights));
    for (found, expected) in [
        (with(&[coefficients]), "found 15 coefficients for 1 targets of 5 inputs"),
        (
            with(&[coefficients, ("targets", Attribute::Int(-1))]),
            "found 15 coefficients for -1 targets of 5 inputs",
        ),
        (with(&[("targets", Attribute::Int(3))]), "found 0 coefficients for 3 targets of 5 inputs"),
        (
            with(&[
                coefficients,
                ("targets", Attribute::Int(3)),
                ("intercepts", Attribute::Floats(&[1.0; 2])),
            ]),
            "found 2 intercepts for 3 targets",
        ),
        (
            with(&[
                coefficients,
                ("targets", Attribute::Int(3)),
                ("post_transform", Attribute::Text("SOFTMAX")),
            ]),
            "it transforms its answer: SOFTMAX",
        ),
        (with(&[coefficients, ("weights", Attribute::Int(3))]), "it has the attribute 'weights'"),
    ] {
        assert_eq!(found, expected);
    }
}
