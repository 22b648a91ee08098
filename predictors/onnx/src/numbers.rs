use half::f16;
use tract_onnx::pb::{TensorProto, tensor_proto::DataType};

/// The values of a constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// Its shape.
    pub dims: Vec<usize>,
    /// Its values in row-major order; integers beyond 2^53 are rounded.
    pub values: Vec<f64>,
    /// Its element type.
    pub element: DataType,
}

/// Reads a constant whose values are in the file.
///
/// # Errors
///
/// Why it cannot be read: another element type than `float`, `double`, `float16`, `int64`, `int32`,
/// `uint8`, `int8` or `bool`; another number of values than its shape has.
pub fn numbers(tensor: &TensorProto) -> Result<Numbers, String> {
    let element = DataType::try_from(tensor.data_type)
        .map_err(|_| format!("holds elements of the unknown type {}", tensor.data_type))?;
    let dims: Vec<usize> = tensor
        .dims
        .iter()
        .map(|size| usize::try_from(*size))
        .collect::<Result<_, _>>()
        .map_err(|_| format!("has the shape {:?}", tensor.dims))?;
    let raw = &tensor.raw_data;
    let values: Vec<f64> = match element {
        DataType::Float if raw.is_empty() => widen(&tensor.float_data),
        DataType::Float => read(raw, |bytes| f32::from_le_bytes(bytes).into())?,
        DataType::Double if raw.is_empty() => tensor.double_data.clone(),
        DataType::Double => read(raw, f64::from_le_bytes)?,
        DataType::Float16 if raw.is_empty() => {
            let bits = |value: &i32| f16::from_bits(*value as u16).to_f64();
            tensor.int32_data.iter().map(bits).collect()
        }
        DataType::Float16 => read(raw, |bytes| f16::from_le_bytes(bytes).to_f64())?,
        DataType::Int64 if raw.is_empty() => {
            tensor.int64_data.iter().map(|value| *value as f64).collect()
        }
        DataType::Int64 => read(raw, |bytes| i64::from_le_bytes(bytes) as f64)?,
        DataType::Int32 | DataType::Uint8 | DataType::Int8 | DataType::Bool if raw.is_empty() => {
            widen(&tensor.int32_data)
        }
        DataType::Int32 => read(raw, |bytes| i32::from_le_bytes(bytes).into())?,
        DataType::Uint8 | DataType::Bool => read(raw, |[byte]: [u8; 1]| byte.into())?,
        DataType::Int8 => read(raw, |[byte]: [u8; 1]| (byte as i8).into())?,
        other => return Err(format!("holds {}", format!("{other:?}").to_lowercase())),
    };
    let count = dims.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
    if count != Some(values.len()) {
        return Err(format!("has the shape {dims:?} and {} values", values.len()));
    }
    Ok(Numbers { dims, values, element })
}

fn widen<T: Copy + Into<f64>>(values: &[T]) -> Vec<f64> {
    values.iter().map(|value| (*value).into()).collect()
}

fn read<const N: usize>(raw: &[u8], value: impl Fn([u8; N]) -> f64) -> Result<Vec<f64>, String> {
    let (elements, rest) = raw.as_chunks::<N>();
    if rest.is_empty() {
        Ok(elements.iter().map(|bytes| value(*bytes)).collect())
    } else {
        Err(format!("has {} bytes, expected a multiple of {N}", raw.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(element: DataType, dims: &[i64]) -> TensorProto {
        TensorProto { data_type: element as i32, dims: dims.to_vec(), ..Default::default() }
    }

    #[test]
    fn values_are_the_same_wherever_a_tensor_keeps_them() {
        let raw = |element, raw_data: Vec<u8>| TensorProto { raw_data, ..tensor(element, &[2]) };
        let half = [0x3c00_u16, 0xc000]; // 1 and -2, by the definition of binary16
        for tensor in [
            raw(DataType::Float, [1.0_f32, -2.0].map(f32::to_le_bytes).concat()),
            raw(DataType::Double, [1.0_f64, -2.0].map(f64::to_le_bytes).concat()),
            raw(DataType::Int64, [1_i64, -2].map(i64::to_le_bytes).concat()),
            raw(DataType::Int32, [1_i32, -2].map(i32::to_le_bytes).concat()),
            raw(DataType::Int8, vec![1, 0xfe]),
            raw(DataType::Float16, half.map(u16::to_le_bytes).concat()),
            TensorProto { float_data: vec![1.0, -2.0], ..tensor(DataType::Float, &[2]) },
            TensorProto { double_data: vec![1.0, -2.0], ..tensor(DataType::Double, &[2]) },
            TensorProto { int64_data: vec![1, -2], ..tensor(DataType::Int64, &[2]) },
            TensorProto { int32_data: vec![1, -2], ..tensor(DataType::Int32, &[2]) },
            TensorProto {
                int32_data: half.map(i32::from).to_vec(),
                ..tensor(DataType::Float16, &[2])
            },
        ] {
            assert_eq!(numbers(&tensor).unwrap().values, [1.0, -2.0], "{tensor:?}");
        }
    }

    #[test]
    fn a_tensor_that_contradicts_itself_is_refused() {
        let few = TensorProto { float_data: vec![1.0], ..tensor(DataType::Float, &[2]) };
        assert_eq!(numbers(&few).unwrap_err(), "has the shape [2] and 1 values");
        let negative = tensor(DataType::Float, &[-1]);
        assert_eq!(numbers(&negative).unwrap_err(), "has the shape [-1]");
        let torn = TensorProto { raw_data: vec![0; 9], ..tensor(DataType::Float, &[2]) };
        assert_eq!(numbers(&torn).unwrap_err(), "has 9 bytes, expected a multiple of 4");
        let endless = tensor(DataType::Float, &[i64::MAX, i64::MAX]);
        assert!(numbers(&endless).unwrap_err().contains("and 0 values"));
        assert_eq!(numbers(&tensor(DataType::String, &[0])).unwrap_err(), "holds string");
    }
}
