//! Functions of one number and of several.

use std::f64::consts::{FRAC_2_PI, PI, SQRT_2};

use super::{Case, NONE, X, Y, case, each};
use hyperfake_predictor_testkit::onnx::Model;

/// Beside `x`: `c` is the second operand, `pair` what a logical operator takes.
const C: [f64; 5] = [2.0, -1.5, 0.5, 3.0, -2.0];

fn c(model: Model) -> Model {
    model.initializer("c", &[5], &C.map(|c| c as f32))
}

fn with_c(x: &[f64; 5], function: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    x.iter().zip(C).map(|(x, c)| function(*x, c)).collect()
}

fn truth(x: &[f64; 5], test: impl Fn(f64, f64) -> bool) -> Vec<f64> {
    with_c(x, |x, c| f64::from(u8::from(test(x, c))))
}

/// `p` where x is positive, `q` where it is above `c`.
fn pair(model: Model) -> Model {
    c(model).initializer("zero", &[], &[0.0_f32]).node("Greater", &["x", "zero"], &["p"], &[]).node(
        "Greater",
        &["x", "c"],
        &["q"],
        &[],
    )
}

/// Whole numbers of 32 bits: `i` from `x`, `d` constants.
fn whole(model: Model) -> Model {
    model
        .initializer("d_float", &[5], &[3.0_f32, 2.0, -2.0, 3.0, -7.0])
        .node("Cast", &["x"], &["i"], &[("to", 6.into())])
        .node("Cast", &["d_float"], &["d"], &[("to", 6.into())])
}

fn with_whole(x: &[f64; 5], function: impl Fn(i32, i32) -> i32) -> Vec<f64> {
    let d = [3, 2, -2, 3, -7];
    x.iter().zip(d).map(|(x, d)| f64::from(function(*x as i32, d))).collect()
}

/// By its power series, which is exact enough up to 4.
pub(super) fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    2.0 / PI.sqrt() * sum
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / SQRT_2))
}

fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + (FRAC_2_PI.sqrt() * (x + 0.044715 * x.powi(3))).tanh())
}

/// `z` from -0.75 to 1.
fn small(model: Model) -> Model {
    model.initializer("quarter", &[], &[0.25_f32]).node("Mul", &["x", "quarter"], &["z"], &[])
}

/// `z` from 1 to 8.
fn positive(model: Model) -> Model {
    model.initializer("four", &[], &[4.0_f32]).node("Add", &["x", "four"], &["z"], &[])
}

/// Not a number where x is negative, and infinite where it is 0.
fn logarithm(model: Model) -> Model {
    model.node("Log", X, &["l"], NONE)
}

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    case("Abs 1", |m| m.node("Abs", X, Y, NONE), |x| each(x, f64::abs)),
    case("Acos 7", |m| small(m).node("Acos", &["z"], Y, NONE), |x| each(x, |x| (x / 4.0).acos())),
    case("Acosh 9", |m| positive(m).node("Acosh", &["z"], Y, NONE), |x| each(x, |x| (x + 4.0).acosh())),
    case("Asin 7", |m| small(m).node("Asin", &["z"], Y, NONE), |x| each(x, |x| (x / 4.0).asin())),
    case("Asinh 9", |m| m.node("Asinh", X, Y, NONE), |x| each(x, f64::asinh)),
    case("Atan 7", |m| m.node("Atan", X, Y, NONE), |x| each(x, f64::atan)),
    case("Atanh 9", |m| m.initializer("eighth", &[], &[0.125_f32]).node("Mul", &["x", "eighth"], &["z"], NONE).node("Atanh", &["z"], Y, NONE), |x| each(x, |x| (x / 8.0).atanh())),
    case("Ceil 1", |m| m.node("Ceil", X, Y, NONE), |x| each(x, f64::ceil)),
    case("Celu 12", |m| m.node("Celu", X, Y, &[("alpha", 2.0.into())]), |x| each(x, |x| x.max(0.0) + (2.0 * ((x / 2.0).exp() - 1.0)).min(0.0))),
    case("Clip 6 to 10", |m| m.node("Clip", X, Y, &[("min", (-1.0).into()), ("max", 1.25.into())]), |x| each(x, |x| x.clamp(-1.0, 1.25))),
    case("Clip 11", |m| m.initializer("high", &[], &[1.25_f32]).node("Clip", &["x", "", "high"], Y, NONE), |x| each(x, |x| x.min(1.25))),
    case("Cos 7", |m| m.node("Cos", X, Y, NONE), |x| each(x, f64::cos)),
    case("Cosh 9", |m| m.node("Cosh", X, Y, NONE), |x| each(x, f64::cosh)),
    case("Elu 1", |m| m.node("Elu", X, Y, &[("alpha", 0.5.into())]), |x| each(x, |x| if x < 0.0 { 0.5 * (x.exp() - 1.0) } else { x })),
    case("Erf 9", |m| m.node("Erf", X, Y, NONE), |x| each(x, erf)),
    case("Exp 1", |m| m.node("Exp", X, Y, NONE), |x| each(x, f64::exp)),
    case("Floor 1", |m| m.node("Floor", X, Y, NONE), |x| each(x, f64::floor)),
    case("Gelu 20", |m| m.node("Gelu", X, Y, NONE), |x| each(x, gelu)),
    case("Gelu 20", |m| m.node("Gelu", X, Y, &[("approximate", "tanh".into())]), |x| each(x, gelu_tanh)),
    case("HardSigmoid 1", |m| m.node("HardSigmoid", X, Y, &[("alpha", 0.25.into()), ("beta", 0.625.into())]), |x| each(x, |x| (0.25 * x + 0.625).clamp(0.0, 1.0))),
    case("HardSwish 14", |m| m.node("HardSwish", X, Y, NONE), |x| each(x, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))),
    // The logarithm of 0 is infinite and negative.
    case("IsInf 10", |m| logarithm(m).node("IsInf", &["l"], Y, &[("detect_positive", 0.into())]), |x| each(x, |x| f64::from(u8::from(x == 0.0)))),
    case("IsInf 10", |m| logarithm(m).node("IsInf", &["l"], Y, &[("detect_negative", 0.into())]), |x| each(x, |_| 0.0)),
    case("IsNaN 9", |m| logarithm(m).node("IsNaN", &["l"], Y, NONE), |x| each(x, |x| f64::from(u8::from(x < 0.0)))),
    case("LeakyRelu 1", |m| m.node("LeakyRelu", X, Y, &[("alpha", 0.25.into())]), |x| each(x, |x| if x < 0.0 { 0.25 * x } else { x })),
    case("Log 1", |m| positive(m).node("Log", &["z"], Y, NONE), |x| each(x, |x| (x + 4.0).ln())),
    case("Mish 18", |m| m.node("Mish", X, Y, NONE), |x| each(x, |x| x * x.exp().ln_1p().tanh())),
    case("Neg 1", |m| m.node("Neg", X, Y, NONE), |x| each(x, |x| -x)),
    case("Not 1", |m| pair(m).node("Not", &["p"], Y, NONE), |x| truth(x, |x, _| x <= 0.0)),
    case("Reciprocal 1", |m| positive(m).node("Reciprocal", &["z"], Y, NONE), |x| each(x, |x| 1.0 / (x + 4.0))),
    case("Relu 1", |m| m.node("Relu", X, Y, NONE), |x| each(x, |x| x.max(0.0))),
    case("Relu 1", |m| logarithm(m).node("Relu", &["l"], &["r"], NONE).node("IsNaN", &["r"], Y, NONE), |x| each(x, |x| f64::from(u8::from(x < 0.0)))),
    case("Round 11", |m| m.node("Round", X, Y, NONE), |x| each(x, f64::round_ties_even)),
    case("Selu 1", |m| m.node("Selu", X, Y, &[("alpha", 2.0.into()), ("gamma", 3.0.into())]), |x| each(x, |x| if x > 0.0 { 3.0 * x } else { 6.0 * (x.exp() - 1.0) })),
    case("Shrink 9", |m| m.node("Shrink", X, Y, &[("bias", 0.25.into()), ("lambd", 1.5.into())]), |x| each(x, |x| if x < -1.5 { x + 0.25 } else if x > 1.5 { x - 0.25 } else { 0.0 })),
    case("Sigmoid 1", |m| m.node("Sigmoid", X, Y, NONE), |x| each(x, sigmoid)),
    // Times a million it is to be small, and right: sigmoid(-20) is 2e-9, sigmoid(-12) 6e-6.
    case("Sigmoid 1", |m| m.initializer("k", &[], &[4.0_f32]).initializer("million", &[], &[1e6_f32]).node("Mul", &["x", "k"], &["z"], NONE).node("Sigmoid", &["z"], &["s"], NONE).node("Mul", &["s", "million"], &["t"], NONE).node("Sqrt", &["t"], Y, NONE), |x| each(x, |x| (1e6 * sigmoid(4.0 * x)).sqrt())),
    case("Sign 9", |m| m.node("Sign", X, Y, NONE), |x| each(x, |x| if x == 0.0 { 0.0 } else { x.signum() })),
    case("Sin 7", |m| m.node("Sin", X, Y, NONE), |x| each(x, f64::sin)),
    case("Sinh 9", |m| m.node("Sinh", X, Y, NONE), |x| each(x, f64::sinh)),
    // 100 x: the exponential of 350 is infinite in single precision.
    case("Softplus 1", |m| m.initializer("k", &[], &[100.0_f32]).node("Mul", &["x", "k"], &["z"], NONE).node("Softplus", &["z"], Y, NONE), |x| each(x, |x| (100.0 * x).max(0.0) + (-(100.0 * x).abs()).exp().ln_1p())),
    case("Softsign 1", |m| m.node("Softsign", X, Y, NONE), |x| each(x, |x| x / (1.0 + x.abs()))),
    case("Sqrt 1", |m| positive(m).node("Sqrt", &["z"], Y, NONE), |x| each(x, |x| (x + 4.0).sqrt())),
    case("Swish 24", |m| m.node("Swish", X, Y, &[("alpha", 2.0.into())]), |x| each(x, |x| x * sigmoid(2.0 * x))),
    case("Tan 7", |m| small(m).node("Tan", &["z"], Y, NONE), |x| each(x, |x| (x / 4.0).tan())),
    case("Tanh 1", |m| m.node("Tanh", X, Y, NONE), |x| each(x, f64::tanh)),
    case("ThresholdedRelu 10", |m| m.node("ThresholdedRelu", X, Y, &[("alpha", 1.0.into())]), |x| each(x, |x| if x > 1.0 { x } else { 0.0 })),
    case("Add 1", |m| c(m).node("Add", &["x", "c"], Y, NONE), |x| with_c(x, |x, c| x + c)),
    case("And 1", |m| pair(m).node("And", &["p", "q"], Y, NONE), |x| truth(x, |x, c| x > 0.0 && x > c)),
    case("BitwiseAnd 18", |m| whole(m).node("BitwiseAnd", &["i", "d"], Y, NONE), |x| with_whole(x, |i, d| i & d)),
    case("BitwiseOr 18", |m| whole(m).node("BitwiseOr", &["i", "d"], Y, NONE), |x| with_whole(x, |i, d| i | d)),
    case("BitwiseXor 18", |m| whole(m).node("BitwiseXor", &["i", "d"], Y, NONE), |x| with_whole(x, |i, d| i ^ d)),
    case("Div 1", |m| c(m).node("Div", &["x", "c"], Y, NONE), |x| with_c(x, |x, c| x / c)),
    // Towards 0.
    case("Div 1", |m| whole(m).node("Div", &["i", "d"], Y, NONE), |x| with_whole(x, |i, d| i / d)),
    case("Equal 1", |m| c(m).node("Equal", &["x", "c"], Y, NONE), |x| truth(x, |x, c| x == c)),
    case("Greater 1", |m| c(m).node("Greater", &["x", "c"], Y, NONE), |x| truth(x, |x, c| x > c)),
    case("GreaterOrEqual 12", |m| c(m).node("GreaterOrEqual", &["x", "c"], Y, NONE), |x| truth(x, |x, c| x >= c)),
    case("Less 1", |m| c(m).node("Less", &["x", "c"], Y, NONE), |x| truth(x, |x, c| x < c)),
    case("LessOrEqual 12", |m| c(m).node("LessOrEqual", &["x", "c"], Y, NONE), |x| truth(x, |x, c| x <= c)),
    case("Max 1", |m| c(m).node("Max", &["x", "c"], Y, NONE), |x| with_c(x, f64::max)),
    case("Mean 1", |m| c(m).node("Mean", &["x", "c", "c"], Y, NONE), |x| with_c(x, |x, c| (x + 2.0 * c) / 3.0)),
    case("Min 1", |m| c(m).node("Min", &["x", "c"], Y, NONE), |x| with_c(x, f64::min)),
    // The sign of the dividend with fmod, else that of the divisor.
    case("Mod 10", |m| c(m).node("Mod", &["x", "c"], Y, &[("fmod", 1.into())]), |x| with_c(x, |x, c| x % c)),
    case("Mod 10", |m| whole(m).node("Mod", &["i", "d"], Y, NONE), |x| with_whole(x, |i, d| { let r = i % d; if r != 0 && (r < 0) != (d < 0) { r + d } else { r } })),
    case("Mul 1", |m| c(m).node("Mul", &["x", "c"], Y, NONE), |x| with_c(x, |x, c| x * c)),
    case("Or 1", |m| pair(m).node("Or", &["p", "q"], Y, NONE), |x| truth(x, |x, c| x > 0.0 || x > c)),
    case("PRelu 7", |m| c(m).node("PRelu", &["x", "c"], Y, NONE), |x| with_c(x, |x, c| if x < 0.0 { c * x } else { x })),
    case("Pow 1", |m| c(positive(m)).node("Pow", &["z", "c"], Y, NONE), |x| with_c(x, |x, c| (x + 4.0).powf(c))),
    case("Pow 1", |m| m.initializer("e", &[5], &[2_i64, 3, 1, 0, 2]).node("Pow", &["x", "e"], Y, NONE), |x| x.iter().zip([2, 3, 1, 0, 2]).map(|(x, e)| x.powi(e)).collect()),
    case("Sub 1", |m| c(m).node("Sub", &["c", "x"], Y, NONE), |x| with_c(x, |x, c| c - x)),
    case("Sum 1", |m| c(m).node("Sum", &["x", "c", "x"], Y, NONE), |x| with_c(x, |x, c| 2.0 * x + c)),
    case("Where 9", |m| pair(m).node("Where", &["p", "x", "c"], Y, NONE), |x| with_c(x, |x, c| if x > 0.0 { x } else { c })),
    // What is not chosen may be no number.
    case("Where 9", |m| logarithm(pair(m)).node("Where", &["p", "l", "c"], Y, NONE), |x| with_c(x, |x, c| if x > 0.0 { x.ln() } else { c })),
    case("Xor 1", |m| pair(m).node("Xor", &["p", "q"], Y, NONE), |x| truth(x, |x, c| (x > 0.0) != (x > c))),
    // Towards 0.
    case("Cast 6", |m| m.node("Cast", X, Y, &[("to", 7.into())]), |x| each(x, f64::trunc)),
    case("Cast 6", |m| m.node("Cast", X, Y, &[("to", 9.into())]), |x| each(x, |x| f64::from(u8::from(x != 0.0)))),
    case("CastLike 15", |m| m.initializer("like", &[1], &[1_i64]).node("CastLike", &["x", "like"], Y, NONE), |x| each(x, f64::trunc)),
];
