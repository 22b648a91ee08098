//! Tensors of ONNX Runtime, filled with features and read as doubles.

use half::f16;
use hyperfake_predictor::Features;
use hyperfake_predictor_onnx::{Element, Input};
use ort::{
    session::SessionInputValue,
    value::{DynValue, Tensor},
};

/// The tensor of an input; every row is the same.
pub(crate) enum InputTensor {
    F32(Tensor<f32>),
    F64(Tensor<f64>),
    F16(Tensor<f16>),
    I64(Tensor<i64>),
    I32(Tensor<i32>),
}

impl InputTensor {
    pub(crate) fn new(input: &Input, rows: usize) -> ort::Result<Self> {
        let shape = input.shape(rows);
        let count = shape.iter().product();
        Ok(match input.element {
            Element::F32 => Self::F32(Tensor::from_array((shape, vec![0.0; count]))?),
            Element::F64 => Self::F64(Tensor::from_array((shape, vec![0.0; count]))?),
            Element::F16 => Self::F16(Tensor::from_array((shape, vec![f16::ZERO; count]))?),
            Element::I64 => Self::I64(Tensor::from_array((shape, vec![0; count]))?),
            Element::I32 => Self::I32(Tensor::from_array((shape, vec![0; count]))?),
        })
    }

    pub(crate) fn value(&self) -> SessionInputValue<'_> {
        match self {
            Self::F32(tensor) => tensor.into(),
            Self::F64(tensor) => tensor.into(),
            Self::F16(tensor) => tensor.into(),
            Self::I64(tensor) => tensor.into(),
            Self::I32(tensor) => tensor.into(),
        }
    }

    /// Writes the features into every row.
    pub(crate) fn fill(&mut self, input: &Input, features: &Features) {
        let row = || input.columns.iter().map(|column| features.value(*column)).cycle();
        match self {
            Self::F32(tensor) => {
                copy(row().map(|value| value as f32), tensor.extract_tensor_mut().1)
            }
            Self::F64(tensor) => copy(row(), tensor.extract_tensor_mut().1),
            Self::F16(tensor) => copy(row().map(Element::half), tensor.extract_tensor_mut().1),
            Self::I64(tensor) => copy(row().map(Element::long), tensor.extract_tensor_mut().1),
            Self::I32(tensor) => copy(row().map(Element::int), tensor.extract_tensor_mut().1),
        }
    }
}

fn copy<T>(row: impl Iterator<Item = T>, values: &mut [T]) {
    values.iter_mut().zip(row).for_each(|(target, value)| *target = value);
}

/// Room for an output.
pub(crate) fn output(element: Element, shape: &[usize]) -> ort::Result<DynValue> {
    let count = shape.iter().product();
    let shape = shape.to_vec();
    Ok(match element {
        Element::F32 => Tensor::from_array((shape, vec![0.0_f32; count]))?.into_dyn(),
        Element::F64 => Tensor::from_array((shape, vec![0.0_f64; count]))?.into_dyn(),
        Element::F16 => Tensor::from_array((shape, vec![f16::ZERO; count]))?.into_dyn(),
        Element::I64 => Tensor::from_array((shape, vec![0_i64; count]))?.into_dyn(),
        Element::I32 => Tensor::from_array((shape, vec![0_i32; count]))?.into_dyn(),
    })
}

/// As many numbers as there is room for, from the start of a tensor.
pub(crate) fn read(value: &DynValue, element: Element, numbers: &mut [f64]) -> ort::Result<()> {
    fn widen<T: Copy>(numbers: &mut [f64], values: &[T], widen: impl Fn(T) -> f64) {
        numbers.iter_mut().zip(values).for_each(|(number, value)| *number = widen(*value));
    }
    match element {
        Element::F32 => widen(numbers, value.try_extract_tensor::<f32>()?.1, f64::from),
        Element::F64 => widen(numbers, value.try_extract_tensor::<f64>()?.1, |value| value),
        Element::F16 => widen(numbers, value.try_extract_tensor::<f16>()?.1, f16::to_f64),
        Element::I64 => widen(numbers, value.try_extract_tensor::<i64>()?.1, |value| value as f64),
        Element::I32 => widen(numbers, value.try_extract_tensor::<i32>()?.1, f64::from),
    }
    Ok(())
}
