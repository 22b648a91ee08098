//! Products, convolutions, recurrences, control flow, quantised operators, other domains.

use super::{Case, NONE, X, Y, case, each, elements::erf};
use hyperfake_predictor_testkit::onnx::{Attribute, Dim, Model};

/// `w`, of the shape `[5,3]`, and `b`, of three numbers.
const W: [[f64; 3]; 5] =
    [[1.0, -0.5, 0.25], [0.5, 1.0, -1.0], [-2.0, 0.25, 0.5], [0.75, -1.5, 2.0], [1.5, 0.5, -0.25]];
const B: [f64; 3] = [1.0, -0.5, 0.25];

fn weights(model: Model) -> Model {
    let w: Vec<f32> = W.as_flattened().iter().map(|w| *w as f32).collect();
    model.initializer("w", &[5, 3], &w).initializer("b", &[3], &B.map(|b| b as f32))
}

fn product(x: &[f64; 5]) -> [f64; 3] {
    [0, 1, 2].map(|j| (0..5).map(|i| x[i] * W[i][j]).sum())
}

/// `z`, of the shape `[1,1,5]`.
fn signal(model: Model) -> Model {
    model.initializer("signal", &[3], &[1_i64, 1, 5]).node(
        "Reshape",
        &["x", "signal"],
        &["z"],
        NONE,
    )
}

/// `k`, of the shape `[1,1,3]`.
fn kernel(model: Model) -> Model {
    signal(model).initializer("k", &[1, 1, 3], &[1.0_f32, -0.5, 2.0])
}

const POOL: &[(&str, Attribute<'_>)] = &[
    ("kernel_shape", Attribute::Ints(&[3])),
    ("pads", Attribute::Ints(&[1, 1])),
    ("strides", Attribute::Ints(&[2])),
];

/// The elements that three pools of three see: at the ends there are two.
fn pools(x: &[f64; 5]) -> [&[f64]; 3] {
    [&x[..2], &x[1..4], &x[3..]]
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn largest(x: &[f64]) -> f64 {
    x.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

const ROW: &[Dim<'_>] = &[Dim::Fixed(1), Dim::Fixed(5)];

/// `x * 2` where the first element is positive, else `-x`.
fn choice(model: Model) -> Model {
    let double = Model::new()
        .initializer("two", &[], &[2.0_f32])
        .node("Mul", &["x", "two"], &["t"], NONE)
        .output("t", ROW);
    let negative = Model::new().node("Neg", X, &["t"], NONE).output("t", ROW);
    model
        .initializer("first", &[], &[0_i64])
        .initializer("zero", &[], &[0.0_f32])
        .initializer("scalar", &[0], &[0_i64; 0])
        .node("Gather", &["x", "first"], &["f"], &[("axis", 1.into())])
        .node("Reshape", &["f", "scalar"], &["g"], NONE)
        .node("Greater", &["g", "zero"], &["p"], NONE)
        .node(
            "If",
            &["p"],
            Y,
            &[
                ("then_branch", Attribute::Graph(&double)),
                ("else_branch", Attribute::Graph(&negative)),
            ],
        )
}

/// Bytes of x: one is an eighth, and 32 is 0.
fn quantised(model: Model) -> Model {
    model.initializer("step", &[], &[0.125_f32]).initializer("zero", &[], &[32_u8]).node(
        "QuantizeLinear",
        &["x", "step", "zero"],
        &["q"],
        NONE,
    )
}

fn bytes(x: &[f64; 5]) -> [f64; 5] {
    x.map(|x| ((x / 0.125).round_ties_even() + 32.0).clamp(0.0, 255.0))
}

/// `v`, bytes of the shape `[5,3]`.
const V: [u8; 15] = [3, 0, 7, 1, 9, 4, 2, 2, 8, 0, 5, 6, 7, 1, 3];

fn byte_weights(model: Model) -> Model {
    quantised(model).initializer("v", &[5, 3], &V).initializer("five", &[], &[5_u8])
}

fn byte_product(x: &[f64; 5], zero: f64, five: f64) -> Vec<f64> {
    let x = bytes(x);
    let column = |j: usize| (0..5).map(|i| (x[i] - zero) * (f64::from(V[3 * i + j]) - five)).sum();
    [0, 1, 2].map(column).to_vec()
}

/// The smallest and the largest element and 0 are 0 to 255.
fn dynamic(x: &[f64; 5]) -> Vec<f64> {
    let low = x.iter().copied().fold(0.0, f64::min);
    let high = x.iter().copied().fold(0.0, f64::max);
    vec![(high - low) / 255.0]
}

const CONTRIB: &str = "com.microsoft";

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    case("Einsum 12", |m| weights(m).node("Einsum", &["x", "w"], Y, &[("equation", "ij,jk->ki".into())]), |x| product(x).to_vec()),
    case("Gemm 7", |m| weights(m).node("Gemm", &["x", "w", "b"], Y, &[("alpha", 0.5.into()), ("beta", (-2.0).into())]), |x| product(x).iter().zip(B).map(|(p, b)| 0.5 * p - 2.0 * b).collect()),
    case("Gemm 7", |m| weights(m).node("Gemm", &["w", "x"], Y, &[("transA", 1.into()), ("transB", 1.into())]), |x| product(x).to_vec()),
    case("MatMul 1", |m| weights(m).node("MatMul", &["x", "w"], Y, NONE), |x| product(x).to_vec()),
    case("AveragePool 7", |m| signal(m).node("AveragePool", &["z"], Y, POOL), |x| pools(x).map(mean).to_vec()),
    case("AveragePool 7", |m| signal(m).node("AveragePool", &["z"], Y, &[POOL, &[("count_include_pad", 1.into())]].concat()), |x| pools(x).map(|x| x.iter().sum::<f64>() / 3.0).to_vec()),
    case("Conv 1", |m| kernel(m).node("Conv", &["z", "k"], Y, &[("dilations", Attribute::Ints(&[2])), ("pads", Attribute::Ints(&[2, 0]))]), |x| (0..3).map(|k| (if k < 2 { 0.0 } else { x[k - 2] }) - 0.5 * x[k] + 2.0 * x[k + 2]).collect()),
    case("ConvTranspose 1", |m| kernel(m).node("ConvTranspose", &["z", "k"], Y, &[("strides", Attribute::Ints(&[3]))]), |x| x.iter().flat_map(|x| [*x, -0.5 * x, 2.0 * x]).collect()),
    case("GlobalAveragePool 1", |m| signal(m).node("GlobalAveragePool", &["z"], Y, NONE), |x| vec![mean(x)]),
    case("GlobalMaxPool 1", |m| signal(m).node("GlobalMaxPool", &["z"], Y, NONE), |x| vec![largest(x)]),
    case("MaxPool 1", |m| signal(m).node("MaxPool", &["z"], Y, POOL), |x| pools(x).map(largest).to_vec()),
    case("If 1", choice, |x| each(x, |y| if x[0] > 0.0 { 2.0 * y } else { -y })),
    case("QuantizeLinear 10", |m| quantised(m).node("Identity", &["q"], Y, NONE), |x| bytes(x).to_vec()),
    case("DequantizeLinear 10", |m| quantised(m).node("DequantizeLinear", &["q", "step", "zero"], Y, NONE), |x| bytes(x).map(|q| (q - 32.0) * 0.125).to_vec()),
    case("DynamicQuantizeLinear 11", |m| m.node("DynamicQuantizeLinear", X, &["q", "y", "o"], NONE), dynamic),
    case("MatMulInteger 10", |m| byte_weights(m).node("MatMulInteger", &["q", "v", "zero", "five"], Y, NONE), |x| byte_product(x, 32.0, 5.0)),
    case("QLinearMatMul 10", |m| byte_weights(m).node("QLinearMatMul", &["q", "step", "zero", "v", "step", "five", "step", "zero"], Y, NONE), |x| byte_product(x, 32.0, 5.0).iter().map(|p| ((p * 0.125).round_ties_even() + 32.0).clamp(0.0, 255.0)).collect()),
    case("ai.onnx.ml.ArrayFeatureExtractor", |m| m.initializer("i", &[3], &[3_i64, 0, 1]).node_of("ai.onnx.ml", "ArrayFeatureExtractor", &["x", "i"], Y, NONE), |x| vec![x[3], x[0], x[1]]),
    case("ai.onnx.ml.LinearRegressor", |m| m.node_of("ai.onnx.ml", "LinearRegressor", X, Y, &[("coefficients", Attribute::Floats(&[1.0, 0.5, -2.0, 0.75, 1.5, -0.5, 1.0, 0.25, -1.5, 0.5])), ("intercepts", Attribute::Floats(&[1.0, -0.5])), ("targets", 2.into())]), |x| { let [first, second, _] = product(x); vec![first + 1.0, second - 0.5] }),
    case("com.microsoft.BiasGelu", |m| m.initializer("b", &[5], &[0.5_f32; 5]).node_of(CONTRIB, "BiasGelu", &["x", "b"], Y, NONE), |x| each(x, |x| { let x = x + 0.5; 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())) })),
    case("com.microsoft.FastGelu", |m| m.node_of(CONTRIB, "FastGelu", X, Y, NONE), |x| each(x, |x| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()))),
    case("com.microsoft.Gelu", |m| m.node_of(CONTRIB, "Gelu", X, Y, NONE), |x| each(x, |x| 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())))),
    case("com.microsoft.QuickGelu", |m| m.node_of(CONTRIB, "QuickGelu", X, Y, &[("alpha", 0.5.into())]), |x| each(x, |x| x * sigmoid(0.5 * x))),
];
