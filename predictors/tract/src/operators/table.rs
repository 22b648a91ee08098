//! The table. Each row has a test in `tests/all/operators`, and more in `tests/onnx`.

use tract_onnx::pb::tensor_proto::DataType::{
    self, Bool, Double, Float, Float16, Int8, Int32, Int64, Uint8,
};

use super::{
    Node,
    Output::{Are, Constant, Inner, Like, Stated},
    Row,
    Values::{Any, Ignored, Ints, Words},
};

const SINGLE: &[DataType] = &[Float];
const REAL: &[DataType] = &[Float, Double];
/// Real numbers, of which some have half the precision.
/// Whole numbers of 64 bits only where they are sizes: see `check_node`.
const NUMBER: &[DataType] = &[Float, Double, Int32];
const WHOLE: &[DataType] = &[Int64, Int32];
const ANY: &[DataType] = &[Float, Double, Float16, Int64, Int32, Int8, Uint8, Bool];
const LOGICAL: &[DataType] = &[Bool];
const BYTES: &[DataType] = &[Int8, Uint8];

const TO_BOOL: super::Output = Are(&[Bool]);
const TO_INT64: super::Output = Are(&[Int64]);

const NO: &[(&str, super::Values)] = &[];
const AXIS: &[(&str, super::Values)] = &[("axis", Any)];
const REDUCED: &[(&str, super::Values)] = &[("axes", Any), ("keepdims", Any)];
const REDUCED_BY_INPUT: &[(&str, super::Values)] =
    &[("keepdims", Any), ("noop_with_empty_axes", Any)];
const CHOICE: &[(&str, super::Values)] = &[("axis", Any), ("keepdims", Any)];
const LAST_CHOICE: &[(&str, super::Values)] =
    &[("axis", Any), ("keepdims", Any), ("select_last_index", Any)];

const CONV: &[(&str, super::Values)] = &[
    ("auto_pad", Any),
    ("dilations", Any),
    ("group", Any),
    ("kernel_shape", Any),
    ("pads", Any),
    ("strides", Any),
];
const DECONV: &[(&str, super::Values)] = &[
    ("auto_pad", Any),
    ("dilations", Any),
    ("group", Ints(&[1])),
    ("kernel_shape", Any),
    ("output_padding", Any),
    ("pads", Any),
    ("strides", Any),
];
const POOL: &[(&str, super::Values)] = &[
    ("auto_pad", Any),
    ("ceil_mode", Any),
    ("dilations", Any),
    ("kernel_shape", Any),
    ("pads", Any),
    ("strides", Any),
];
const AVERAGE: &[(&str, super::Values)] = &[
    ("auto_pad", Any),
    ("ceil_mode", Any),
    ("count_include_pad", Any),
    ("dilations", Any),
    ("kernel_shape", Any),
    ("pads", Any),
    ("strides", Any),
];
#[rustfmt::skip]
pub(super) static TABLE: &[Row] = &[
    // Functions of one number.
    Row::new("Abs", 1, NUMBER, Like(0), NO),
    Row::new("Acos", 7, SINGLE, Like(0), NO),
    Row::new("Acosh", 9, SINGLE, Like(0), NO),
    Row::new("Asin", 7, SINGLE, Like(0), NO),
    Row::new("Asinh", 9, SINGLE, Like(0), NO),
    Row::new("Atan", 7, SINGLE, Like(0), NO),
    Row::new("Atanh", 9, SINGLE, Like(0), NO),
    Row::new("Ceil", 1, REAL, Like(0), NO),
    Row::new("Celu", 12, REAL, Like(0), &[("alpha", Any)]),
    Row::new("Clip", 6, REAL, Like(0), &[("max", Any), ("min", Any)]).until(10).numbers_only(),
    Row::new("Clip", 11, NUMBER, Like(0), NO).numbers_only(),
    Row::new("Cos", 7, SINGLE, Like(0), NO),
    Row::new("Cosh", 9, SINGLE, Like(0), NO),
    Row::new("Elu", 1, REAL, Like(0), &[("alpha", Any)]),
    Row::new("Erf", 9, SINGLE, Like(0), NO),
    Row::new("Exp", 1, REAL, Like(0), NO),
    Row::new("Floor", 1, REAL, Like(0), NO),
    Row::new("Gelu", 20, SINGLE, Like(0), &[("approximate", Words(&["none", "tanh"]))]),
    Row::new("HardSigmoid", 1, REAL, Like(0), &[("alpha", Any), ("beta", Any)]).numbers_only(),
    Row::new("HardSwish", 14, REAL, Like(0), NO),
    Row::new("IsInf", 10, SINGLE, TO_BOOL, &[("detect_negative", Any), ("detect_positive", Any)]),
    Row::new("IsNaN", 9, SINGLE, TO_BOOL, NO),
    Row::new("LeakyRelu", 1, SINGLE, Like(0), &[("alpha", Any)]),
    Row::new("Log", 1, REAL, Like(0), NO),
    Row::new("Mish", 18, REAL, Like(0), NO),
    Row::new("Neg", 1, NUMBER, Like(0), NO),
    Row::new("Not", 1, LOGICAL, Like(0), NO),
    Row::new("Reciprocal", 1, REAL, Like(0), NO),
    Row::new("Relu", 1, REAL, Like(0), NO),
    Row::new("Round", 11, SINGLE, Like(0), NO),
    Row::new("Selu", 1, REAL, Like(0), &[("alpha", Any), ("gamma", Any)]),
    Row::new("Shrink", 9, SINGLE, Like(0), &[("bias", Any), ("lambd", Any)]),
    Row::new("Sigmoid", 1, REAL, Like(0), NO),
    Row::new("Sign", 9, NUMBER, Like(0), NO),
    Row::new("Sin", 7, SINGLE, Like(0), NO),
    Row::new("Sinh", 9, SINGLE, Like(0), NO),
    Row::new("Softplus", 1, REAL, Like(0), NO),
    Row::new("Softsign", 1, REAL, Like(0), NO),
    Row::new("Sqrt", 1, REAL, Like(0), NO),
    Row::new("Swish", 24, REAL, Like(0), &[("alpha", Any)]),
    Row::new("Tan", 7, SINGLE, Like(0), NO),
    Row::new("Tanh", 1, SINGLE, Like(0), NO),
    Row::new("ThresholdedRelu", 10, REAL, Like(0), &[("alpha", Any)]),
    // Of several. Before opset 7 an attribute said how they broadcast, which tract does not read.
    Row::new("Add", 1, NUMBER, Like(0), NO),
    Row::new("And", 1, LOGICAL, TO_BOOL, NO),
    Row::new("BitwiseAnd", 18, &[Int32], Like(0), NO),
    Row::new("BitwiseOr", 18, &[Int32], Like(0), NO),
    Row::new("BitwiseXor", 18, &[Int32], Like(0), NO),
    Row::new("Div", 1, NUMBER, Like(0), NO),
    Row::new("Equal", 1, NUMBER, TO_BOOL, NO),
    Row::new("Greater", 1, NUMBER, TO_BOOL, NO),
    Row::new("GreaterOrEqual", 12, NUMBER, TO_BOOL, NO),
    Row::new("Less", 1, NUMBER, TO_BOOL, NO),
    Row::new("LessOrEqual", 12, NUMBER, TO_BOOL, NO),
    Row::new("Max", 1, NUMBER, Like(0), NO).numbers_only(),
    Row::new("Mean", 1, REAL, Like(0), NO),
    Row::new("Min", 1, NUMBER, Like(0), NO).numbers_only(),
    Row::new("Mod", 10, NUMBER, Like(0), &[("fmod", Any)]).also(remainder),
    Row::new("Mul", 1, NUMBER, Like(0), NO),
    Row::new("Or", 1, LOGICAL, TO_BOOL, NO),
    Row::new("PRelu", 7, REAL, Like(0), NO),
    Row::new("Pow", 1, REAL, Like(0), NO).also(real_exponent),
    Row::new("Sub", 1, NUMBER, Like(0), NO),
    Row::new("Sum", 1, REAL, Like(0), NO),
    Row::new("Where", 9, LOGICAL, Like(1), NO),
    Row::new("Xor", 1, LOGICAL, TO_BOOL, NO),
    // Element types.
    Row::new("Cast", 6, ANY, Stated("to"), &[("to", Ints(&[1, 2, 3, 6, 7, 9, 10, 11])), ("saturate", Ignored)]),
    Row::new("CastLike", 15, ANY, Like(1), &[("saturate", Ignored)]),
    // Reductions. ReduceSum takes the axes as an input since opset 13, the others since 18.
    Row::new("ReduceL1", 1, REAL, Like(0), REDUCED).until(17),
    Row::new("ReduceL1", 18, REAL, Like(0), REDUCED_BY_INPUT),
    Row::new("ReduceL2", 1, REAL, Like(0), REDUCED).until(17),
    Row::new("ReduceL2", 18, REAL, Like(0), REDUCED_BY_INPUT),
    Row::new("ReduceLogSum", 1, REAL, Like(0), REDUCED).until(17),
    Row::new("ReduceLogSum", 18, REAL, Like(0), REDUCED_BY_INPUT),
    Row::new("ReduceMax", 1, NUMBER, Like(0), REDUCED).until(17).numbers_only(),
    Row::new("ReduceMax", 18, NUMBER, Like(0), REDUCED_BY_INPUT).numbers_only(),
    Row::new("ReduceMean", 1, REAL, Like(0), REDUCED).until(17),
    Row::new("ReduceMean", 18, REAL, Like(0), REDUCED_BY_INPUT),
    Row::new("ReduceMin", 1, NUMBER, Like(0), REDUCED).until(17).numbers_only(),
    Row::new("ReduceMin", 18, NUMBER, Like(0), REDUCED_BY_INPUT).numbers_only(),
    Row::new("ReduceProd", 1, NUMBER, Like(0), REDUCED).until(17),
    Row::new("ReduceProd", 18, NUMBER, Like(0), REDUCED_BY_INPUT),
    Row::new("ReduceSum", 1, NUMBER, Like(0), REDUCED).until(12),
    Row::new("ReduceSum", 13, NUMBER, Like(0), REDUCED_BY_INPUT),
    Row::new("ReduceSumSquare", 1, REAL, Like(0), REDUCED).until(17),
    Row::new("ReduceSumSquare", 18, REAL, Like(0), REDUCED_BY_INPUT),
    Row::new("ArgMax", 1, NUMBER, TO_INT64, CHOICE).until(11).numbers_only(),
    Row::new("ArgMax", 12, NUMBER, TO_INT64, LAST_CHOICE).numbers_only(),
    Row::new("ArgMin", 1, NUMBER, TO_INT64, CHOICE).until(11).numbers_only(),
    Row::new("ArgMin", 12, NUMBER, TO_INT64, LAST_CHOICE).numbers_only(),
    Row::new("TopK", 10, NUMBER, Are(TOP_K), AXIS).until(10).numbers_only(),
    Row::new("TopK", 11, NUMBER, Are(TOP_K), &[("axis", Any), ("largest", Any), ("sorted", Any)]).numbers_only(),
    // Before opset 13 the axes from `axis` on counted as one.
    Row::new("Hardmax", 1, REAL, Like(0), AXIS).numbers_only(),
    Row::new("Softmax", 1, REAL, Like(0), AXIS).numbers_only(),
    Row::new("CumSum", 11, NUMBER, Like(0), &[("exclusive", Any), ("reverse", Any)]),
    // Normalisations.
    Row::new("BatchNormalization", 1, REAL, Like(0), &[("epsilon", Any), ("is_test", Ints(&[1])), ("momentum", Ignored), ("spatial", Ints(&[1]))]).until(6).also(stated_test),
    Row::new("BatchNormalization", 7, REAL, Like(0), &[("epsilon", Any), ("momentum", Ignored), ("spatial", Ints(&[1]))]).until(13),
    Row::new("BatchNormalization", 14, REAL, Like(0), &[("epsilon", Any), ("momentum", Ignored), ("training_mode", Ints(&[0]))]),
    Row::new("GroupNormalization", 18, SINGLE, Like(0), &[("epsilon", Any), ("num_groups", Any), ("stash_type", Ints(&[1]))]),
    Row::new("LRN", 1, SINGLE, Like(0), &[("alpha", Any), ("beta", Any), ("bias", Any), ("size", Any)]),
    Row::new("InstanceNormalization", 6, SINGLE, Like(0), &[("epsilon", Any)]),
    // Not `LayerNormalization`: tract subtracts squares, and loses what is small beside the mean.
    Row::new("LpNormalization", 1, SINGLE, Like(0), &[("axis", Any), ("p", Ints(&[1, 2]))]),
    Row::new("RMSNormalization", 23, SINGLE, Like(0), &[("axis", Any), ("epsilon", Any), ("stash_type", Ints(&[1]))]),
    // Products.
    Row::new("Einsum", 12, SINGLE, Like(0), &[("equation", Any)]),
    Row::new("Gemm", 7, REAL, Like(0), &[("alpha", Any), ("beta", Any), ("transA", Any), ("transB", Any)]),
    Row::new("MatMul", 1, NUMBER, Like(0), NO),
    // Convolutions and pools.
    Row::new("AveragePool", 7, SINGLE, Like(0), AVERAGE),
    Row::new("Conv", 1, REAL, Like(0), CONV),
    Row::new("ConvTranspose", 1, SINGLE, Like(0), DECONV),
    Row::new("GlobalAveragePool", 1, SINGLE, Like(0), NO),
    Row::new("GlobalMaxPool", 1, SINGLE, Like(0), NO).numbers_only(),
    Row::new("MaxPool", 1, SINGLE, Like(0), POOL).also(one_output).numbers_only(),
    // Not recurrences and `Scan`: tract keeps their state from one call to the next.
    // Control flow; what is inside is checked too.
    Row::new("If", 1, LOGICAL, Inner, &[("else_branch", Any), ("then_branch", Any)]),
    // Shapes.
    Row::new("Concat", 4, ANY, Like(0), AXIS),
    Row::new("Constant", 1, ANY, Constant, &[("value", Any), ("value_float", Any), ("value_floats", Any), ("value_int", Any), ("value_ints", Any)]),
    Row::new("ConstantOfShape", 9, WHOLE, Constant, &[("value", Any)]),
    Row::new("DepthToSpace", 1, SINGLE, Like(0), &[("blocksize", Any), ("mode", Words(&["CRD", "DCR"]))]),
    Row::new("Dropout", 1, REAL, Are(&[Float, Bool]), &[("is_test", Ints(&[1]))]).until(6).also(stated_test),
    Row::new("Dropout", 7, REAL, Like(0), &[("ratio", Ignored), ("seed", Ignored)]).also(one_output),
    // Not `Expand`: tract loses it between a gather and a product.
    Row::new("EyeLike", 9, NUMBER, Stated("dtype"), &[("dtype", Ints(&[1, 7, 11])), ("k", Any)]),
    Row::new("Flatten", 1, ANY, Like(0), AXIS),
    Row::new("Gather", 1, ANY, Like(0), AXIS),
    Row::new("GatherElements", 11, ANY, Like(0), AXIS),
    Row::new("Identity", 1, ANY, Like(0), NO),
    Row::new("Pad", 2, NUMBER, Like(0), &[("mode", Words(&["constant", "edge", "reflect"])), ("pads", Any), ("value", Any)]).until(10),
    Row::new("Pad", 11, NUMBER, Like(0), &[("mode", Words(&["constant", "edge", "reflect"]))]).also(plain_pads),
    Row::new("Reshape", 5, ANY, Like(0), &[("allowzero", Any)]),
    Row::new("Resize", 13, SINGLE, Like(0), &[("coordinate_transformation_mode", Words(&["align_corners", "asymmetric", "half_pixel", "pytorch_half_pixel"])), ("mode", Words(&["cubic", "linear", "nearest"])), ("nearest_mode", Words(&["ceil", "floor", "round_prefer_ceil", "round_prefer_floor"]))]).also(by_scales),
    Row::new("Scatter", 9, SINGLE, Like(0), AXIS).until(10),
    Row::new("ScatterElements", 11, SINGLE, Like(0), &[("axis", Any), ("reduction", Words(&["none", "add", "mul", "max", "min"]))]),
    Row::new("Shape", 1, ANY, TO_INT64, &[("end", Any), ("start", Any)]),
    Row::new("Size", 1, ANY, TO_INT64, NO),
    Row::new("Slice", 1, ANY, Like(0), &[("axes", Any), ("ends", Any), ("starts", Any)]).until(9),
    Row::new("Slice", 10, ANY, Like(0), NO),
    Row::new("SpaceToDepth", 1, SINGLE, Like(0), &[("blocksize", Any)]),
    Row::new("Split", 2, ANY, Like(0), &[("axis", Any), ("split", Any)]).until(12),
    Row::new("Split", 13, ANY, Like(0), &[("axis", Any), ("num_outputs", Any)]),
    Row::new("Squeeze", 1, ANY, Like(0), &[("axes", Any)]).until(12).also(stated_axes),
    Row::new("Squeeze", 13, ANY, Like(0), NO),
    Row::new("Tile", 6, ANY, Like(0), NO),
    Row::new("Transpose", 1, ANY, Like(0), &[("perm", Any)]),
    Row::new("Trilu", 14, NUMBER, Like(0), &[("upper", Any)]),
    Row::new("Unsqueeze", 1, ANY, Like(0), &[("axes", Any)]).until(12),
    Row::new("Unsqueeze", 13, ANY, Like(0), NO),
    // Quantised.
    Row::new("DequantizeLinear", 10, &[Int8, Uint8, Int32], Are(SINGLE), &[("axis", Any), ("block_size", Ints(&[0])), ("output_dtype", Ints(&[0, 1]))]),
    Row::new("DynamicQuantizeLinear", 11, SINGLE, Are(&[Uint8, Float, Uint8]), NO),
    Row::new("MatMulInteger", 10, BYTES, Are(&[Int32]), NO),
    Row::new("QLinearMatMul", 10, BYTES, Like(7), NO),
    Row::new("QuantizeLinear", 10, SINGLE, Are(&[Uint8]), &[("axis", Any), ("block_size", Ints(&[0])), ("saturate", Ignored)]),
    // Other domains.
    Row::new("ArrayFeatureExtractor", 1, SINGLE, Like(0), NO).of("ai.onnx.ml"),
    Row::new("LinearRegressor", 1, SINGLE, Are(SINGLE), &[("coefficients", Any), ("intercepts", Any), ("post_transform", Words(&["NONE"])), ("targets", Any)]).of("ai.onnx.ml"),
    Row::new("BiasGelu", 1, SINGLE, Like(0), NO).of("com.microsoft"),
    Row::new("FastGelu", 1, SINGLE, Like(0), NO).of("com.microsoft"),
    Row::new("Gelu", 1, SINGLE, Like(0), NO).of("com.microsoft"),
    Row::new("QuickGelu", 1, SINGLE, Like(0), &[("alpha", Any)]).of("com.microsoft"),
];

const TOP_K: &[DataType] = &[Float, Int64];

type Checked = Result<(), String>;

/// Real numbers have the remainder with the sign of the dividend only, as in the standard.
fn remainder(node: &Node<'_>) -> Checked {
    let whole = node.input(0) == Some(Int32);
    if whole || node.int("fmod") == Some(1) { Ok(()) } else { Err("with fmod = 0".to_owned()) }
}

/// Files of the first opsets say that they are not for training.
fn stated_test(node: &Node<'_>) -> Checked {
    match node.int("is_test") {
        Some(1) => Ok(()),
        _ => Err("made for training (is_test = 0)".to_owned()),
    }
}

fn one_output(node: &Node<'_>) -> Checked {
    if node.has_output(1) { Err("with a second output".to_owned()) } else { Ok(()) }
}

fn real_exponent(node: &Node<'_>) -> Checked {
    let exponent = node.input(1);
    let single = node.input(0) == Some(Float) && matches!(exponent, Some(Int32 | Int64));
    if single || node.input(0) == exponent {
        Ok(())
    } else {
        Err("with an exponent of another type than the base".to_owned())
    }
}

fn stated_axes(node: &Node<'_>) -> Checked {
    if node.attribute("axes").is_some() { Ok(()) } else { Err("without axes".to_owned()) }
}

/// tract forgets the mode when a value to pad with is given too, and pads with nothing negative.
fn plain_pads(node: &Node<'_>) -> Checked {
    let constant = node.attribute("mode").is_none_or(|mode| &*mode.s == b"constant");
    let pads = node.constant(1);
    let pads = pads.ok_or("with pads that are not a constant of the file")?;
    match () {
        () if node.has_input(2) && !constant => Err("with a mode and a value".to_owned()),
        () if pads.iter().any(|pad| *pad < 0) => Err("with negative pads".to_owned()),
        () => Ok(()),
    }
}

fn by_scales(node: &Node<'_>) -> Checked {
    let scales = !node.has_input(1) && node.has_input(2) && !node.has_input(3);
    if scales { Ok(()) } else { Err("to sizes or within a region".to_owned()) }
}
