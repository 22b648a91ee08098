use std::{fmt, slice, sync::Arc};

use hyperfake_predictor::{Feature, Features, RawPrediction, Result, Session};
use ort::{
    session::{HasSelectedOutputs, RunOptions, SessionInputValue, SessionOutputs},
    value::{DynValue, Tensor},
};

use crate::{
    failed,
    plan::{Buffer, Plan},
    signature::{Element, Signature},
};

/// One thread's session, with its input and output.
pub(crate) struct OrtSession {
    plan: Arc<Plan>,
    graph: ort::session::Session,
    /// Written again for each call.
    input: Input,
    /// With the output, which each run writes again.
    options: RunOptions<HasSelectedOutputs>,
}

impl OrtSession {
    pub(crate) fn new(plan: Arc<Plan>, graph: ort::session::Session) -> Result<Self> {
        let input = Input::new(&plan.signature).map_err(failed)?;
        let options = plan.options().map_err(failed)?;
        Ok(Self { plan, graph, input, options })
    }

    /// One prediction; its errors do not name the file.
    pub(crate) fn run(&mut self, features: &Features) -> ort::Result<RawPrediction> {
        self.input.fill(&self.plan.inputs, features);
        let outputs = self.graph.run_with_options([self.input.value()], &self.options)?;
        Ok(RawPrediction::from_array(answer(&outputs, &self.plan.buffers)?))
    }
}

impl Session for OrtSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        self.run(features).map_err(|error| failed(error).at(self.plan.path.display()))
    }
}

impl fmt::Debug for OrtSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrtSession").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// The input tensor: `[rows, columns]`, every row the same.
pub(crate) enum Input {
    F32(Tensor<f32>),
    F64(Tensor<f64>),
}

impl Input {
    pub(crate) fn new(signature: &Signature) -> ort::Result<Self> {
        let shape = [signature.rows, signature.columns];
        let count = signature.rows * signature.columns;
        Ok(match signature.element {
            Element::F32 => Self::F32(Tensor::from_array((shape, vec![0.0; count]))?),
            Element::F64 => Self::F64(Tensor::from_array((shape, vec![0.0; count]))?),
        })
    }

    pub(crate) fn value(&self) -> SessionInputValue<'_> {
        match self {
            Self::F32(tensor) => tensor.into(),
            Self::F64(tensor) => tensor.into(),
        }
    }

    fn fill(&mut self, columns: &[Feature], features: &Features) {
        let row = || columns.iter().map(|column| features.value(*column)).cycle();
        match self {
            Self::F32(tensor) => {
                let (_, values) = tensor.extract_tensor_mut();
                values.iter_mut().zip(row()).for_each(|(value, feature)| *value = feature as f32);
            }
            Self::F64(tensor) => {
                let (_, values) = tensor.extract_tensor_mut();
                values.iter_mut().zip(row()).for_each(|(value, feature)| *value = feature);
            }
        }
    }
}

/// The first row: of the only output, or of each of the three.
fn answer(outputs: &SessionOutputs<'_>, buffers: &[Buffer]) -> ort::Result<[f64; 3]> {
    let mut row = [0.0; 3];
    match buffers {
        [buffer] => read(&outputs[0], buffer.element, &mut row)?,
        _ => {
            for (index, (number, buffer)) in row.iter_mut().zip(buffers).enumerate() {
                read(&outputs[index], buffer.element, slice::from_mut(number))?;
            }
        }
    }
    Ok(row)
}

/// As many numbers as there is room for, from the start of a tensor.
fn read(value: &DynValue, element: Element, numbers: &mut [f64]) -> ort::Result<()> {
    match element {
        Element::F32 => {
            let (_, values) = value.try_extract_tensor::<f32>()?;
            numbers.iter_mut().zip(values).for_each(|(number, value)| *number = f64::from(*value));
        }
        Element::F64 => {
            let (_, values) = value.try_extract_tensor::<f64>()?;
            numbers.iter_mut().zip(values).for_each(|(number, value)| *number = *value);
        }
    }
    Ok(())
}
