//! Reductions, choices of elements, normalisations.

use super::{Case, NONE, X, Y, case, each};
use hyperfake_predictor_testkit::onnx::{Attribute, Model};

/// `z`, of the shape `[2,3]`: x and the first element once more.
fn table(model: Model) -> Model {
    model
        .initializer("six", &[6], &[0_i64, 1, 2, 3, 4, 0])
        .initializer("two_three", &[2], &[2_i64, 3])
        .node("Gather", &["x", "six"], &["g"], &[("axis", 1.into())])
        .node("Reshape", &["g", "two_three"], &["z"], &[])
}

fn rows(x: &[f64; 5]) -> [[f64; 3]; 2] {
    [[x[0], x[1], x[2]], [x[3], x[4], x[0]]]
}

fn columns(x: &[f64; 5]) -> [[f64; 2]; 3] {
    [[x[0], x[3]], [x[1], x[4]], [x[2], x[0]]]
}

/// The columns' axis, as an attribute: 0, dropped.
const OLD: &[(&str, Attribute<'_>)] =
    &[("axes", Attribute::Ints(&[0])), ("keepdims", Attribute::Int(0))];

fn old(model: Model, op: &str) -> Model {
    table(model).node(op, &["z"], Y, OLD)
}

/// The rows' axis, as an input: -1, kept.
fn new(model: Model, op: &str) -> Model {
    table(model).initializer("axes", &[1], &[-1_i64]).node(op, &["z", "axes"], Y, NONE)
}

fn by_column(x: &[f64; 5], function: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    columns(x).iter().map(|column| function(column)).collect()
}

fn by_row(x: &[f64; 5], function: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    rows(x).iter().map(|row| function(row)).collect()
}

fn sum(x: &[f64]) -> f64 {
    x.iter().sum()
}

fn squares(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

fn magnitudes(x: &[f64]) -> f64 {
    x.iter().map(|x| x.abs()).sum()
}

fn largest(x: &[f64]) -> f64 {
    x.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn smallest(x: &[f64]) -> f64 {
    x.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The first of the largest, or the last.
fn arg_max(x: &[f64], last: bool) -> f64 {
    let top = largest(x);
    let place = |value: &f64| *value == top;
    (if last { x.iter().rposition(place) } else { x.iter().position(place) }).unwrap() as f64
}

fn opposite(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| -x).collect()
}

/// Of x, which is positive here.
fn log_sum(model: Model) -> Model {
    model.initializer("four", &[], &[4.0_f32]).node("Add", &["x", "four"], &["p"], NONE)
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let all: f64 = x.iter().map(|x| x.exp()).sum();
    x.iter().map(|x| x.exp() / all).collect()
}

fn normal(x: &[f64], epsilon: f64) -> Vec<f64> {
    let mean = sum(x) / x.len() as f64;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
    x.iter().map(|x| (x - mean) / (variance + epsilon).sqrt()).collect()
}

/// Scale, shift, mean and variance of three channels.
const CHANNELS: [[f64; 3]; 4] =
    [[1.0, 0.5, -2.0], [0.0, 1.0, 0.5], [0.5, -1.0, 2.0], [1.0, 4.0, 0.25]];

fn channels(model: Model) -> Model {
    let [scale, shift, mean, variance] =
        CHANNELS.map(|numbers| numbers.map(|number| number as f32));
    table(model)
        .initializer("scale", &[3], &scale)
        .initializer("shift", &[3], &shift)
        .initializer("mean", &[3], &mean)
        .initializer("variance", &[3], &variance)
}

const BATCH: &[&str] = &["z", "scale", "shift", "mean", "variance"];

fn batch(x: &[f64; 5]) -> Vec<f64> {
    let [scale, shift, mean, variance] = CHANNELS;
    let channel =
        |x: f64, c: usize| (x - mean[c]) / (variance[c] + 0.5).sqrt() * scale[c] + shift[c];
    rows(x).iter().flat_map(|row| [0, 1, 2].map(|c| channel(row[c], c))).collect()
}

/// `w`, of the shape `[1,2,3]`: two channels of three numbers, with a scale and a shift each.
fn planes(model: Model) -> Model {
    table(model)
        .initializer("one_two_three", &[3], &[1_i64, 2, 3])
        .initializer("scale", &[2], &[0.5_f32, -2.0])
        .initializer("shift", &[2], &[1.0_f32, 0.5])
        .node("Reshape", &["z", "one_two_three"], &["w"], NONE)
}

fn of_planes(x: &[f64; 5], normal: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let [first, second] = rows(x);
    let first = normal(&first).into_iter().map(|x| x * 0.5 + 1.0);
    first.chain(normal(&second).into_iter().map(|x| x * -2.0 + 0.5)).collect()
}

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    case("ReduceL1 1 to 17", |m| old(m, "ReduceL1"), |x| by_column(x, magnitudes)),
    case("ReduceL1 18", |m| new(m, "ReduceL1"), |x| by_row(x, magnitudes)),
    case("ReduceL2 1 to 17", |m| old(m, "ReduceL2"), |x| by_column(x, |x| squares(x).sqrt())),
    case("ReduceL2 18", |m| new(m, "ReduceL2"), |x| by_row(x, |x| squares(x).sqrt())),
    case("ReduceLogSum 1 to 17", |m| log_sum(m).node("ReduceLogSum", &["p"], Y, &[("axes", Attribute::Ints(&[1]))]), |x| vec![(sum(x) + 20.0).ln()]),
    case("ReduceLogSum 18", |m| log_sum(m).node("ReduceLogSum", &["p"], Y, NONE), |x| vec![(sum(x) + 20.0).ln()]),
    case("ReduceMax 1 to 17", |m| old(m, "ReduceMax"), |x| by_column(x, largest)),
    case("ReduceMax 18", |m| new(m, "ReduceMax"), |x| by_row(x, largest)),
    case("ReduceMean 1 to 17", |m| old(m, "ReduceMean"), |x| by_column(x, |x| sum(x) / 2.0)),
    case("ReduceMean 18", |m| new(m, "ReduceMean"), |x| by_row(x, |x| sum(x) / 3.0)),
    case("ReduceMin 1 to 17", |m| old(m, "ReduceMin"), |x| by_column(x, smallest)),
    case("ReduceMin 18", |m| new(m, "ReduceMin"), |x| by_row(x, smallest)),
    case("ReduceProd 1 to 17", |m| old(m, "ReduceProd"), |x| by_column(x, |x| x.iter().product())),
    case("ReduceProd 18", |m| new(m, "ReduceProd"), |x| by_row(x, |x| x.iter().product())),
    case("ReduceSum 1 to 12", |m| old(m, "ReduceSum"), |x| by_column(x, sum)),
    case("ReduceSum 13", |m| new(m, "ReduceSum"), |x| by_row(x, sum)),
    // Without axes it adds everything, or nothing.
    case("ReduceSum 13", |m| m.node("ReduceSum", X, Y, NONE), |x| vec![sum(x)]),
    case("ReduceSum 13", |m| m.node("ReduceSum", X, Y, &[("noop_with_empty_axes", 1.into())]), |x| x.to_vec()),
    case("ReduceSumSquare 1 to 17", |m| old(m, "ReduceSumSquare"), |x| by_column(x, squares)),
    case("ReduceSumSquare 18", |m| new(m, "ReduceSumSquare"), |x| by_row(x, squares)),
    case("ArgMax 1 to 11", |m| table(m).node("ArgMax", &["z"], Y, &[("axis", 1.into())]), |x| by_row(x, |x| arg_max(x, false))),
    case("ArgMax 12", |m| table(m).node("ArgMax", &["z"], Y, &[("axis", (-1).into()), ("select_last_index", 1.into())]), |x| by_row(x, |x| arg_max(x, true))),
    case("ArgMin 1 to 11", |m| table(m).node("ArgMin", &["z"], Y, &[("keepdims", 0.into())]), |x| by_column(x, |x| arg_max(&opposite(x), false))),
    case("ArgMin 12", |m| table(m).node("ArgMin", &["z"], Y, &[("axis", 1.into()), ("select_last_index", 1.into())]), |x| by_row(x, |x| arg_max(&opposite(x), true))),
    case("TopK 10 to 10", |m| m.initializer("k", &[1], &[3_i64]).node("TopK", &["x", "k"], &["y", "other"], NONE), |x| { let mut x = x.to_vec(); x.sort_by(|a, b| b.total_cmp(a)); x.truncate(3); x }),
    case("TopK 11", |m| m.initializer("k", &[1], &[3_i64]).node("TopK", &["x", "k"], &["y", "other"], &[("largest", 0.into())]), |x| { let mut x = x.to_vec(); x.sort_by(f64::total_cmp); x.truncate(3); x }),
    case("Hardmax 1", |m| m.node("Hardmax", X, Y, NONE), |x| { let top = arg_max(x, false) as usize; (0..5).map(|k| f64::from(u8::from(k == top))).collect() }),
    // Opset 7 takes the axes from `axis` on as one.
    case("Softmax 1", |m| table(m).node("Softmax", &["z"], Y, &[("axis", 0.into())]), |x| softmax(rows(x).as_flattened())),
    case("CumSum 11", |m| m.initializer("axis", &[], &[1_i64]).node("CumSum", &["x", "axis"], Y, &[("reverse", 1.into()), ("exclusive", 1.into())]), |x| (0..5).map(|k| sum(&x[k + 1..])).collect()),
    case("BatchNormalization 1 to 6", |m| channels(m).node("BatchNormalization", BATCH, Y, &[("epsilon", 0.5.into()), ("is_test", 1.into())]), batch),
    case("BatchNormalization 7 to 13", |m| channels(m).node("BatchNormalization", BATCH, Y, &[("epsilon", 0.5.into()), ("momentum", 0.5.into())]), batch),
    case("BatchNormalization 14", |m| channels(m).node("BatchNormalization", BATCH, Y, &[("epsilon", 0.5.into()), ("training_mode", 0.into())]), batch),
    case("GroupNormalization 18", |m| planes(m).node("GroupNormalization", &["w", "scale", "shift"], Y, &[("num_groups", 2.into()), ("epsilon", 0.5.into())]), |x| of_planes(x, |x| normal(x, 0.5))),
    case("InstanceNormalization 6", |m| planes(m).node("InstanceNormalization", &["w", "scale", "shift"], Y, &[("epsilon", 0.5.into())]), |x| of_planes(x, |x| normal(x, 0.5))),
    case("LRN 1", |m| table(m).initializer("four", &[4], &[2_i64, 3, 1, 1]).node("Reshape", &["z", "four"], &["w"], NONE).node("LRN", &["w"], Y, &[("size", 3.into()), ("alpha", 0.75.into()), ("beta", 0.5.into()), ("bias", 2.0.into())]),
        |x| rows(x).iter().flat_map(|row| [squares(&row[..2]), squares(row), squares(&row[1..])].into_iter().zip(row).map(|(near, x)| x / (2.0 + 0.25 * near).sqrt()).collect::<Vec<_>>()).collect()),
    case("LpNormalization 1", |m| log_sum(m).node("LpNormalization", &["p"], Y, &[("p", 1.into())]), |x| each(x, |y| (y + 4.0) / (sum(x) + 20.0))),
    case("RMSNormalization 23", |m| channels(m).node("RMSNormalization", &["z", "scale"], Y, &[("epsilon", 0.5.into())]), |x| rows(x).iter().flat_map(|row| { let root = (squares(row) / 3.0 + 0.5).sqrt(); [0, 1, 2].map(|c| row[c] / root * CHANNELS[0][c]) }).collect()),
];
