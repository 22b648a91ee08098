//! Functions of each element that are worked out here instead of in tract.
//!
//! tract's softplus is `ln(1 + exp(x))`, which is infinite above 88 and 0 below -17; so is the one
//! within its `Mish`. Its `Celu` forgets the factor `alpha`, its `Swish` reads no `alpha`, its
//! `Sigmoid` is never below 1e-6, its `Relu` makes 0 of what is no number, and `exp(x) - 1` has no
//! digit left near 0 (`Elu`, `Selu`, `Celu`), nor has `1 + tanh(x)` far below it (`Gelu`). Here all
//! of them are worked out in double precision, in a form that neither overflows nor cancels, and
//! rounded once.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use tract_onnx::{
    model::{OnnxOpRegister, ParsingContext},
    pb::NodeProto,
    prelude::*,
    tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp},
    tract_hir::{internal::*, ops::element_wise::ElementWiseIntoHir as _},
};

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Relu,
    Sigmoid,
    Softplus,
    Mish,
    /// `x * max(0, min(1, x / 6 + 0.5))`
    HardSwish,
    /// `0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`
    GeluTanh,
    /// `x * sigmoid(alpha * x)`
    Swish {
        alpha: f64,
    },
    /// `alpha * (exp(x / alpha) - 1)` where x is negative
    Celu {
        alpha: f64,
    },
    /// `alpha * (exp(x) - 1)` where x is negative
    Elu {
        alpha: f64,
    },
    /// `gamma * alpha * (exp(x) - 1)` where x is not positive, else `gamma * x`
    Selu {
        alpha: f64,
        gamma: f64,
    },
}

impl Eq for Function {}

impl Function {
    fn of(self, x: f64) -> f64 {
        match self {
            // `max` would make 0 of what is no number.
            Self::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Self::Sigmoid => sigmoid(x),
            Self::Softplus => softplus(x),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::GeluTanh => {
                let inner = FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * (x + 0.044_715 * x.powi(3));
                // Half of 1 + tanh(a) is the sigmoid of 2 a.
                x * sigmoid(2.0 * inner)
            }
            Self::Mish => x * softplus(x).tanh(),
            Self::Swish { alpha } => x * sigmoid(alpha * x),
            Self::Celu { alpha } if x < 0.0 => alpha * (x / alpha).exp_m1(),
            Self::Elu { alpha } if x < 0.0 => alpha * x.exp_m1(),
            Self::Celu { .. } | Self::Elu { .. } => x,
            Self::Selu { alpha, gamma } if x <= 0.0 => gamma * alpha * x.exp_m1(),
            Self::Selu { gamma, .. } => gamma * x,
        }
    }

    /// Reads a node's attributes; the defaults are those of the standard.
    fn read(node: &NodeProto) -> TractResult<Self> {
        let number = |name: &str, default: f32| -> TractResult<f64> {
            Ok(f64::from(node.get_attr_opt::<f32>(name)?.unwrap_or(default)))
        };
        Ok(match node.op_type.as_str() {
            "Relu" => Self::Relu,
            "Sigmoid" => Self::Sigmoid,
            "Softplus" => Self::Softplus,
            "HardSwish" => Self::HardSwish,
            "Mish" => Self::Mish,
            "Swish" => Self::Swish { alpha: number("alpha", 1.0)? },
            "Celu" => Self::Celu { alpha: number("alpha", 1.0)? },
            "Elu" => Self::Elu { alpha: number("alpha", 1.0)? },
            "Selu" => Self::Selu {
                alpha: number("alpha", 1.673_263_2)?,
                gamma: number("gamma", 1.050_701)?,
            },
            other => bail!("{other} is not worked out here"),
        })
    }
}

/// `ln(1 + exp(x))`
fn softplus(x: f64) -> f64 {
    Function::Relu.of(x) + (-x.abs()).exp().ln_1p()
}

/// `1 / (1 + exp(-x))`
fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl ElementWiseMiniOp for Function {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn eval_in_place(&self, tensor: &mut Tensor, _: Option<DatumType>) -> TractResult<()> {
        let element = tensor.datum_type();
        let mut values = tensor.try_as_plain_ram_mut()?;
        match element {
            DatumType::F32 => values
                .as_slice_mut::<f32>()?
                .iter_mut()
                .for_each(|x| *x = self.of(f64::from(*x)) as f32),
            DatumType::F64 => {
                values.as_slice_mut::<f64>()?.iter_mut().for_each(|x| *x = self.of(*x))
            }
            DatumType::F16 => values
                .as_slice_mut::<f16>()?
                .iter_mut()
                .for_each(|x| *x = f16::from_f64(self.of(x.to_f64()))),
            other => bail!("{} of {other:?}", self.name()),
        }
        Ok(())
    }
}

const NAMES: [&str; 9] =
    ["Relu", "Sigmoid", "Softplus", "HardSwish", "Mish", "Swish", "Celu", "Elu", "Selu"];

/// Registers these functions in the place of tract's.
pub(crate) fn replace(register: &mut OnnxOpRegister) {
    for name in NAMES {
        register.insert(name, build);
    }
    register.insert("Gelu", gelu);
}

/// The exact one, which has an error function, stays tract's.
fn gelu(
    context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    if node.get_attr_opt::<&str>("approximate")? == Some("tanh") {
        return Ok((ElementWiseOp(Box::new(Function::GeluTanh), None).into_hir(), Vec::new()));
    }
    let tract = tract_onnx::onnx().op_register.0.remove("Gelu").context("tract has no Gelu")?;
    tract(context, node)
}

fn build(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let function = Function::read(node)?;
    Ok((ElementWiseOp(Box::new(function), None).into_hir(), Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right values are those of Python's `decimal`, with 40 digits.
    #[test]
    fn softplus_and_mish_keep_their_digits_where_single_precision_loses_them() {
        let values = [
            (-100.0, 3.720_075_976_020_836e-44),
            (-20.0, 2.061_153_620_314_380_7e-9),
            (0.0, 0.693_147_180_559_945_3),
            (1.0, 1.313_261_687_518_222_8),
            (100.0, 100.0),
            (1e30, 1e30),
        ];
        for (x, right) in values {
            assert!((softplus(x) / right - 1.0).abs() < 1e-15, "softplus({x}) = {}", softplus(x));
        }
        assert_eq!(softplus(f64::INFINITY), f64::INFINITY);
        assert_eq!(softplus(f64::NEG_INFINITY), 0.0);
        assert!(softplus(f64::NAN).is_nan());
        let mish = Function::Mish;
        assert_eq!(mish.of(500.0), 500.0);
        assert!((mish.of(-30.0) / -2.807_286_890_651_921e-12 - 1.0).abs() < 1e-14);
    }
}
