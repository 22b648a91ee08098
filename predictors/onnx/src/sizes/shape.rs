//! The shape that a node gives.

use tract_onnx::pb::{AttributeProto, NodeProto};

use super::{Constant, Sizes};
use crate::numbers;

/// A longer list of numbers is not a shape.
const MAX_RANK: usize = 16;

impl Sizes<'_> {
    /// The shape of a node's first output.
    pub(super) fn shape(&self, node: &NodeProto) -> Option<Vec<u64>> {
        let input = |index: usize| {
            node.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
        };
        let known = |index: usize| self.shapes.get(input(index)?).cloned();
        let values = |index: usize| self.values(input(index)?);
        let sizes = |index: usize| values(index).map(|values| whole(&values));
        let attribute = |name: &str| node.attribute.iter().find(|other| other.name == name);
        let ints = |name: &str| {
            attribute(name).map(|attribute| attribute.ints.iter().map(|int| *int as f64).collect())
        };
        match node.op_type.as_str() {
            "ConstantOfShape" => sizes(0),
            "RandomNormal" | "RandomUniform" => ints("shape").map(|shape: Vec<f64>| whole(&shape)),
            // Where the input is not known, the result is at least as large as what is asked for.
            "Expand" => Some(broadcast(&known(0).unwrap_or_default(), &sizes(1)?)),
            "Tile" => {
                let repeats = sizes(1)?;
                let shape = known(0).filter(|shape| shape.len() == repeats.len());
                let shape = shape.unwrap_or_else(|| vec![1; repeats.len()]);
                Some(shape.iter().zip(repeats).map(|(size, by)| size.saturating_mul(by)).collect())
            }
            "Range" => {
                let [start, limit, step] = [values(0)?, values(1)?, values(2)?];
                let count = (limit.first()? - start.first()?) / step.first()?;
                Some(whole(&[count.ceil()]))
            }
            "Pad" => {
                let pads: Vec<f64> =
                    values(1).or_else(|| ints("pads")).or_else(|| ints("paddings"))?;
                let shape = known(0).unwrap_or_else(|| vec![1; pads.len() / 2]);
                if pads.len() != 2 * shape.len() {
                    return None;
                }
                let added = pads.iter().zip(&pads[shape.len()..]).map(|(begin, end)| begin + end);
                let padded = shape.iter().zip(added).map(|(size, added)| *size as f64 + added);
                Some(whole(&padded.collect::<Vec<_>>()))
            }
            "OneHot" => {
                let mut shape = known(0)?;
                shape.extend(sizes(1)?);
                Some(shape)
            }
            "Resize" | "Upsample" => {
                let shape = known(0)?;
                let stated = (node.op_type == "Resize").then(|| sizes(3)).flatten();
                if let Some(stated) = stated.filter(|stated| stated.len() == shape.len()) {
                    return Some(stated);
                }
                let scales = attribute("scales").map(|scales| {
                    scales.floats.iter().map(|scale| f64::from(*scale)).collect::<Vec<_>>()
                });
                let scales = [scales, values(1), values(2)].into_iter().flatten();
                let scales = scales.into_iter().find(|scales| scales.len() == shape.len())?;
                let scaled = shape.iter().zip(scales).map(|(size, scale)| *size as f64 * scale);
                Some(whole(&scaled.collect::<Vec<_>>()))
            }
            "Reshape" => {
                let shape = known(0)?;
                let count = shape.iter().fold(1_u64, |count, size| count.saturating_mul(*size));
                let stated = values(1)?;
                let size = |(index, size): (usize, &f64)| match *size {
                    0.0 => shape.get(index).copied(),
                    size if size > 0.0 => Some(size as u64),
                    _ => None,
                };
                let sizes: Vec<Option<u64>> = stated.iter().enumerate().map(size).collect();
                let given =
                    sizes.iter().flatten().fold(1_u64, |all, size| all.saturating_mul(*size));
                let rest = count.checked_div(given)?;
                Some(sizes.into_iter().map(|size| size.unwrap_or(rest)).collect())
            }
            "Unsqueeze" => {
                let axes: Vec<f64> = values(1).or_else(|| ints("axes"))?;
                let mut shape = known(0)?;
                let rank = (shape.len() + axes.len()) as f64;
                let mut axes: Vec<_> =
                    axes.iter().map(|axis| if *axis < 0.0 { axis + rank } else { *axis }).collect();
                axes.sort_by(f64::total_cmp);
                for axis in axes {
                    let at = axis as usize;
                    (at <= shape.len() && shape.len() < MAX_RANK).then(|| shape.insert(at, 1))?;
                }
                Some(shape)
            }
            "Transpose" => {
                let shape = known(0)?;
                match attribute("perm") {
                    None => Some(shape.into_iter().rev().collect()),
                    Some(perm) => {
                        let size = |axis: &i64| shape.get(usize::try_from(*axis).ok()?).copied();
                        perm.ints.iter().map(size).collect()
                    }
                }
            }
            "MatMul" | "MatMulInteger" | "Gemm" => {
                let flag = |name: &str| attribute(name).is_some_and(|flag| flag.i != 0);
                let (mut left, mut right) = (known(0)?, known(1)?);
                match (left.len(), right.len()) {
                    // A vector is a row on the left and a column on the right, and is left out.
                    (1, 2) => return right.pop().map(|columns| vec![columns]),
                    (2, 1) => return left.first().map(|rows| vec![*rows]),
                    (0 | 1, _) | (_, 0 | 1) => return None,
                    _ => {}
                }
                if flag("transA") {
                    left.reverse();
                }
                if flag("transB") {
                    right.reverse();
                }
                let (columns, rows) = (right.pop()?, left.len() - 2);
                right.pop()?;
                let mut shape = broadcast(&left[..rows], &right);
                shape.extend([left[rows], columns]);
                Some(shape)
            }
            "Flatten" => {
                let shape = known(0)?;
                let axis = attribute("axis").map_or(1, |axis| axis.i);
                let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
                let (rows, columns) = shape.split_at_checked(usize::try_from(axis).ok()?)?;
                let count =
                    |sizes: &[u64]| sizes.iter().fold(1_u64, |all, size| all.saturating_mul(*size));
                Some(vec![count(rows), count(columns)])
            }
            "Concat" => {
                let mut shape = known(0)?;
                let axis = attribute("axis")?.i;
                let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
                let axis = usize::try_from(axis).ok()?;
                for index in 1..node.input.len() {
                    let more = *known(index)?.get(axis)?;
                    let size = shape.get_mut(axis)?;
                    *size = size.saturating_add(more);
                }
                Some(shape)
            }
            op if SAME_RANK.contains(&op) => Some(vec![1; known(0)?.len()]),
            "Gather" => Some(vec![1; (known(0)?.len() + known(1)?.len()).checked_sub(1)?]),
            "Squeeze" => {
                let shape = known(0)?;
                let axes: Vec<f64> = values(1).or_else(|| ints("axes"))?;
                let rank = shape.len() as f64;
                let gone = |at: usize| {
                    axes.iter().any(|axis| [at as f64, at as f64 - rank].contains(axis))
                };
                let kept = shape.iter().enumerate().filter(|(at, _)| !gone(*at));
                Some(kept.map(|(_, size)| *size).collect())
            }
            "ArgMax" | "ArgMin" => {
                Some(vec![1; reduced(known(0)?.len(), 1, attribute("keepdims"))?])
            }
            op if op.starts_with("Reduce") => {
                let rank = known(0)?.len();
                let axes: Option<Vec<f64>> = values(1).or_else(|| ints("axes"));
                let gone = match axes {
                    Some(axes) => axes.len(),
                    None if input(1).is_none() => rank,
                    None => return None,
                };
                Some(vec![1; reduced(rank, gone, attribute("keepdims"))?])
            }
            "LinearRegressor" => Some(vec![1; 2]),
            op if ELEMENT_WISE.contains(&op) => (0..node.input.len())
                .try_fold(Vec::new(), |shape: Vec<u64>, index| {
                    Some(broadcast(&shape, &known(index)?))
                }),
            op if OF_ONE.contains(&op) => known(0),
            _ => None,
        }
    }

    /// A constant of a few numbers.
    fn values(&self, name: &str) -> Option<Vec<f64>> {
        match *self.constants.get(name)? {
            Constant::Tensor(tensor) => {
                let count =
                    tensor.dims.iter().try_fold(1_i64, |count, size| count.checked_mul(*size));
                count.filter(|count| *count <= MAX_RANK as i64)?;
                numbers(tensor).ok().map(|numbers| numbers.values)
            }
            Constant::Attribute(attribute) => match attribute.name.as_str() {
                "value_int" => Some(vec![attribute.i as f64]),
                "value_ints" => Some(attribute.ints.iter().map(|int| *int as f64).collect()),
                "value_float" => Some(vec![f64::from(attribute.f)]),
                "value_floats" => {
                    Some(attribute.floats.iter().map(|float| f64::from(*float)).collect())
                }
                _ => None,
            },
        }
    }
}

/// Operators of several inputs that give a number for each place of the largest.
const ELEMENT_WISE: [&str; 20] = [
    "Add",
    "And",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "PRelu",
    "Pow",
    "Sub",
    "Sum",
    "Where",
    "Xor",
];

/// Operators that give a number for each one of their first input.
const OF_ONE: [&str; 66] = [
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BatchNormalization",
    "BiasGelu",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "CumSum",
    "DequantizeLinear",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "EyeLike",
    "FastGelu",
    "Floor",
    "Gelu",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LpNormalization",
    "Mish",
    "Neg",
    "Not",
    "QuantizeLinear",
    "QuickGelu",
    "RMSNormalization",
    "RandomNormalLike",
    "RandomUniformLike",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Trilu",
    "DynamicQuantizeLinear",
];

/// Operators that give as many dimensions as their first input has.
const SAME_RANK: [&str; 15] = [
    "AveragePool",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "GatherElements",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "MaxPool",
    "Scaler",
    "Scatter",
    "ScatterElements",
    "Slice",
    "SpaceToDepth",
    "Split",
    "TopK",
];

/// The dimensions that are left after a reduction, which removes some unless they are kept.
fn reduced(rank: usize, gone: usize, kept: Option<&AttributeProto>) -> Option<usize> {
    if kept.is_none_or(|kept| kept.i != 0) { Some(rank) } else { rank.checked_sub(gone) }
}

/// Sizes as whole numbers; an invalid size is 1.
fn whole(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| if *value >= 0.0 { *value as u64 } else { 1 }).collect()
}

/// Aligned at the end, the larger of two sizes; sizes that contradict each other are the engine's to
/// refuse.
fn broadcast(left: &[u64], right: &[u64]) -> Vec<u64> {
    let rank = left.len().max(right.len());
    let size = |shape: &[u64], at: usize| (at + shape.len()).checked_sub(rank).map(|at| shape[at]);
    let larger = |at: usize| match (size(left, at), size(right, at)) {
        (Some(left), Some(right)) if left != 0 && right != 0 => left.max(right),
        (Some(0), _) | (_, Some(0)) => 0,
        (left, right) => left.or(right).unwrap_or(1),
    };
    (0..rank).map(larger).collect()
}
