use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, safetensors::Load};
use hyperfake_predictor::{Error, Result};
use safetensors::{SafeTensors, tensor::TensorView};

/// The bytes before the header: its length.
const LENGTH_BYTES: usize = 8;

/// What a file holds, checked as far as the format itself goes.
#[derive(Debug)]
pub(crate) struct Contents {
    /// As single precision. None is empty and every number is finite.
    pub(crate) tensors: BTreeMap<String, Tensor>,
    /// The metadata that is meant for this software, without its prefix.
    pub(crate) settings: BTreeMap<String, String>,
}

impl Contents {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        check_length(bytes)?;
        let malformed = |error| Error::invalid("not a safetensors file").with_source(error);
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
        let metadata = header.metadata().iter().flatten();
        let settings = metadata.filter_map(|(key, value)| {
            let key = key.strip_prefix("hyperfake.").filter(|key| !key.is_empty())?;
            Some((key.to_owned(), value.clone()))
        });
        let tensors = SafeTensors::deserialize(bytes).map_err(malformed)?;
        Ok(Self {
            settings: settings.collect(),
            tensors: tensors
                .iter()
                .map(|(name, view)| Ok((name.to_owned(), load(name, &view)?)))
                .collect::<Result<_>>()?,
        })
    }

    /// Takes out a row of `count` numbers, `[count]` or `[1,count]`, if it is there.
    pub(crate) fn take_row(&mut self, name: &str, count: usize) -> Result<Option<Tensor>> {
        let Some(tensor) = self.tensors.remove(name) else { return Ok(None) };
        match *tensor.dims() {
            [length] | [1, length] if length == count => {
                tensor.flatten_all().map(Some).map_err(failed)
            }
            _ => Err(wrong_shape(name, &tensor, &format!("[{count}]"))),
        }
    }
}

/// A refusal of a tensor's shape.
pub(crate) fn wrong_shape(name: &str, tensor: &Tensor, expected: &str) -> Error {
    let found = shape(tensor.dims());
    let message = format!("tensor '{name}' has the shape {found}, expected {expected}");
    Error::invalid(message)
}

/// candle itself failed.
pub(crate) fn failed(error: candle_core::Error) -> Error {
    Error::internal("candle cannot read the tensors").with_source(error)
}

/// A shape as it is written in the file: `[3,5]`.
pub(crate) fn shape(dims: &[usize]) -> String {
    let dims: Vec<_> = dims.iter().map(ToString::to_string).collect();
    format!("[{}]", dims.join(","))
}

/// Compares the stated length of the header with the file, so that a refusal says both, and
/// before anything is done with it.
fn check_length(bytes: &[u8]) -> Result<()> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Err(Error::invalid(format!(
            "not a safetensors file: found {} bytes, expected at least the {LENGTH_BYTES} of the \
             header's length",
            bytes.len()
        )));
    };
    let length = u64::from_le_bytes(*length);
    if length > rest.len() as u64 {
        return Err(Error::invalid(format!(
            "not a safetensors file, or cut short: its header should have {length} bytes, and {} \
             follow",
            rest.len()
        )));
    }
    Ok(())
}

fn load(name: &str, view: &TensorView<'_>) -> Result<Tensor> {
    use safetensors::Dtype::{BF16, F16, F32, F64};
    if !matches!(view.dtype(), F32 | F64 | F16 | BF16) {
        return Err(Error::unsupported(format!(
            "tensor '{name}' holds {}, expected F32, F64, F16 or BF16",
            view.dtype()
        )));
    }
    if view.shape().contains(&0) {
        return Err(Error::unsupported(format!(
            "tensor '{name}' is empty: {}",
            shape(view.shape())
        )));
    }
    let tensor = view.load(&Device::Cpu).and_then(|tensor| tensor.to_dtype(DType::F32));
    let tensor = tensor.map_err(failed)?;
    let values = tensor.flatten_all().and_then(|tensor| tensor.to_vec1::<f32>());
    if values.map_err(failed)?.iter().all(|value| value.is_finite()) {
        return Ok(tensor);
    }
    Err(Error::unsupported(format!(
        "tensor '{name}' holds a number that is not finite in single precision"
    )))
}
