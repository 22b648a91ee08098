//! Operators that move elements.

use super::{Case, NONE, X, Y, case};
use hyperfake_predictor_testkit::onnx::{Attribute, Model};

/// `z`, of the shape `[2,3]`: x and the first element once more.
fn table(model: Model) -> Model {
    model
        .initializer("six", &[6], &[0_i64, 1, 2, 3, 4, 0])
        .initializer("two_three", &[2], &[2_i64, 3])
        .node("Gather", &["x", "six"], &["g"], &[("axis", 1.into())])
        .node("Reshape", &["g", "two_three"], &["z"], &[])
}

/// Elements of `z` by their places in x.
fn at<const N: usize>(x: &[f64; 5], places: [usize; N]) -> Vec<f64> {
    places.map(|place| x[place % 5]).to_vec()
}

/// `y` from `t`: the axes the other way round, so that their order counts.
fn turned(model: Model) -> Model {
    model.node("Transpose", &["t"], Y, NONE)
}

/// x with numbers in the place of three of its elements.
fn scattered(model: Model, op: &str, attributes: &[(&str, Attribute<'_>)]) -> Model {
    model
        .initializer("places", &[1, 3], &[1_i64, 0, 3])
        .initializer("news", &[1, 3], &[2.0_f32, -1.5, 0.5])
        .node(op, &["x", "places", "news"], Y, attributes)
}

fn ints(values: &[i64]) -> Attribute<'_> {
    Attribute::Ints(values)
}

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    case("Concat 4", |m| m.node("Neg", X, &["n"], NONE).node("Concat", &["x", "n", "x"], Y, &[("axis", 1.into())]), |x| x.iter().copied().chain(x.map(|x| -x)).chain(*x).collect()),
    case("Constant 1", |m| m.node("Constant", &[], &["k"], &[("value_float", 0.5.into())]).node("Constant", &[], &["v"], &[("value", Attribute::FloatTensor(&[1.0, 2.0, 3.0, 4.0, 5.0]))]).node("Mul", &["x", "k"], &["t"], NONE).node("Add", &["t", "v"], Y, NONE), |x| (0..5).map(|k| 0.5 * x[k] + k as f64 + 1.0).collect()),
    case("ConstantOfShape 9", |m| m.initializer("shape", &[2], &[1_i64, 5]).node("ConstantOfShape", &["shape"], &["k"], &[("value", Attribute::FloatTensor(&[2.5]))]).node("Mul", &["x", "k"], Y, NONE), |x| x.map(|x| 2.5 * x).to_vec()),
    // [1,4,1,1] to [1,1,2,2]: each channel is a corner.
    case("DepthToSpace 1", |m| m.initializer("four", &[4], &[0_i64, 1, 2, 3]).initializer("shape", &[4], &[1_i64, 4, 1, 1]).node("Gather", &["x", "four"], &["g"], &[("axis", 1.into())]).node("Reshape", &["g", "shape"], &["z"], NONE).node("DepthToSpace", &["z"], &["t"], &[("blocksize", 2.into())]).node("Transpose", &["t"], Y, &[("perm", ints(&[0, 1, 3, 2]))]), |x| at(x, [0, 2, 1, 3])),
    case("SpaceToDepth 1", |m| m.initializer("four", &[4], &[0_i64, 1, 2, 3]).initializer("shape", &[4], &[1_i64, 1, 4, 1]).node("Gather", &["x", "four"], &["g"], &[("axis", 1.into())]).node("Reshape", &["g", "shape"], &["z"], NONE).node("Concat", &["z", "z"], &["w"], &[("axis", 3.into())]).node("SpaceToDepth", &["w"], Y, &[("blocksize", 2.into())]), |x| at(x, [0, 2, 0, 2, 1, 3, 1, 3])),
    case("Dropout 1 to 6", |m| m.node("Dropout", X, Y, &[("is_test", 1.into())]), |x| x.to_vec()),
    case("Dropout 7", |m| m.node("Dropout", X, Y, &[("ratio", 0.5.into())]), |x| x.to_vec()),
    case("EyeLike 9", |m| table(m).node("EyeLike", &["z"], &["e"], &[("k", 1.into())]).node("Mul", &["z", "e"], Y, NONE), |x| vec![0.0, x[1], 0.0, 0.0, 0.0, x[0]]),
    case("Flatten 1", |m| table(m).initializer("shape", &[3], &[2_i64, 1, 3]).node("Reshape", &["z", "shape"], &["w"], NONE).node("Flatten", &["w"], &["t"], &[("axis", 2.into())]).node("Transpose", &["t"], Y, NONE), |x| at(x, [0, 3, 1, 4, 2, 0])),
    case("Gather 1", |m| table(m).initializer("i", &[2], &[2_i64, -3]).node("Gather", &["z", "i"], Y, &[("axis", 1.into())]), |x| at(x, [2, 0, 0, 3])),
    case("GatherElements 11", |m| table(m).initializer("i", &[2, 2], &[2_i64, 0, -1, 1]).node("GatherElements", &["z", "i"], Y, &[("axis", 1.into())]), |x| at(x, [2, 0, 0, 4])),
    case("Identity 1", |m| m.node("Identity", X, Y, NONE), |x| x.to_vec()),
    case("Pad 2 to 10", |m| m.node("Pad", X, Y, &[("pads", ints(&[0, 1, 0, 2])), ("value", 2.5.into())]), |x| [&[2.5], &x[..], &[2.5, 2.5]].concat()),
    case("Pad 11", |m| m.initializer("pads", &[4], &[0_i64, 1, 0, 2]).node("Pad", &["x", "pads"], Y, &[("mode", "reflect".into())]), |x| [&[x[1]], &x[..], &[x[3], x[2]]].concat()),
    case("Pad 11", |m| m.initializer("pads", &[4], &[0_i64, 1, 0, 2]).initializer("v", &[], &[2.5_f32]).node("Pad", &["x", "pads", "v"], Y, NONE), |x| [&[2.5], &x[..], &[2.5, 2.5]].concat()),
    case("Reshape 5", |m| table(m).initializer("shape", &[3], &[0_i64, -1, 1]).node("Reshape", &["z", "shape"], &["t"], NONE).node("Transpose", &["t"], Y, NONE), |x| at(x, [0, 3, 1, 4, 2, 0])),
    // Halfway between two elements, and at the ends the outer one.
    case("Resize 13", |m| m.initializer("shape", &[3], &[1_i64, 1, 5]).initializer("scales", &[3], &[1.0_f32, 1.0, 2.0]).node("Reshape", &["x", "shape"], &["z"], NONE).node("Resize", &["z", "", "scales"], Y, &[("mode", "linear".into())]), |x| (0..10).map(|k| { let place = ((f64::from(k) + 0.5) / 2.0 - 0.5).clamp(0.0, 4.0); let low = place.floor() as usize; let share = place - place.floor(); x[low] * (1.0 - share) + x[(low + 1).min(4)] * share }).collect()),
    case("Scatter 9 to 10", |m| scattered(m, "Scatter", &[("axis", 1.into())]), |x| vec![-1.5, 2.0, x[2], 0.5, x[4]]),
    case("ScatterElements 11", |m| scattered(m, "ScatterElements", &[("axis", 1.into())]), |x| vec![-1.5, 2.0, x[2], 0.5, x[4]]),
    case("ScatterElements 11", |m| scattered(m.opset(18), "ScatterElements", &[("axis", 1.into()), ("reduction", "max".into())]), |x| vec![x[0].max(-1.5), x[1].max(2.0), x[2], x[3].max(0.5), x[4]]),
    case("Shape 1", |m| table(m).node("Shape", &["z"], Y, NONE), |_| vec![2.0, 3.0]),
    case("Size 1", |m| table(m).node("Size", &["z"], &["n"], NONE).node("Cast", &["n"], &["f"], &[("to", 1.into())]).node("Mul", &["x", "f"], Y, NONE), |x| x.map(|x| 6.0 * x).to_vec()),
    case("Slice 1 to 9", |m| table(m).node("Slice", &["z"], Y, &[("starts", ints(&[-2])), ("ends", ints(&[1000])), ("axes", ints(&[1]))]), |x| at(x, [1, 2, 4, 0])),
    case("Slice 10", |m| m.initializer("starts", &[1], &[3_i64]).initializer("ends", &[1], &[0_i64]).initializer("axes", &[1], &[1_i64]).initializer("steps", &[1], &[-1_i64]).node("Slice", &["x", "starts", "ends", "axes", "steps"], Y, NONE), |x| at(x, [3, 2, 1])),
    case("Split 2 to 12", |m| m.node("Split", X, &["other", "y"], &[("axis", 1.into()), ("split", ints(&[2, 3]))]), |x| at(x, [2, 3, 4])),
    case("Split 13", |m| m.initializer("sizes", &[2], &[4_i64, 1]).node("Split", &["x", "sizes"], &["y", "other"], &[("axis", (-1).into())]), |x| at(x, [0, 1, 2, 3])),
    case("Squeeze 1 to 12", |m| turned(table(m).initializer("shape", &[3], &[2_i64, 1, 3]).node("Reshape", &["z", "shape"], &["w"], NONE).node("Squeeze", &["w"], &["t"], &[("axes", ints(&[1]))])), |x| at(x, [0, 3, 1, 4, 2, 0])),
    case("Squeeze 13", |m| turned(table(m).initializer("shape", &[3], &[2_i64, 1, 3]).initializer("axes", &[1], &[-2_i64]).node("Reshape", &["z", "shape"], &["w"], NONE).node("Squeeze", &["w", "axes"], &["t"], NONE)), |x| at(x, [0, 3, 1, 4, 2, 0])),
    case("Tile 6", |m| table(m).initializer("times", &[2], &[1_i64, 2]).node("Tile", &["z", "times"], Y, NONE), |x| at(x, [0, 1, 2, 0, 1, 2, 3, 4, 0, 3, 4, 0])),
    case("Transpose 1", |m| table(m).node("Transpose", &["z"], Y, &[("perm", ints(&[1, 0]))]), |x| at(x, [0, 3, 1, 4, 2, 0])),
    case("Trilu 14", |m| table(m).initializer("k", &[], &[-1_i64]).node("Trilu", &["z", "k"], Y, &[("upper", 0.into())]), |x| vec![0.0, 0.0, 0.0, x[3], 0.0, 0.0]),
    case("Unsqueeze 1 to 12", |m| turned(table(m).node("Unsqueeze", &["z"], &["t"], &[("axes", ints(&[0, 2]))])), |x| at(x, [0, 3, 1, 4, 2, 0])),
    case("Unsqueeze 13", |m| turned(table(m).initializer("axes", &[1], &[-1_i64]).node("Unsqueeze", &["z", "axes"], &["t"], NONE)), |x| at(x, [0, 3, 1, 4, 2, 0])),
];
