use std::sync::Arc;

use half::f16;
use hyperfake_predictor::{Error, ErrorKind, Features, RawPrediction, Result, Session};
use hyperfake_predictor_onnx::{Element, Engine, Input, QuantileSession};
use tract_onnx::{prelude::*, tract_hir::internal::TypedSimpleState};

use crate::{plan::Plan, without_panic};

/// One thread's state for a plan.
pub(crate) struct TractSession {
    plan: Arc<Plan>,
    /// Gone while the graph runs, and after it failed or panicked: half a run must not leak into
    /// the next.
    state: Option<TypedSimpleState>,
    /// Written again for each call, unless the graph kept them.
    inputs: Vec<Arc<Tensor>>,
}

impl TractSession {
    pub(crate) fn new(plan: Arc<Plan>) -> Result<Self> {
        let state = Some(plan.state()?);
        let zero = |input: &Input| {
            let shape = input.shape(plan.rows);
            match input.element {
                Element::F32 => Tensor::zero::<f32>(&shape),
                Element::F64 => Tensor::zero::<f64>(&shape),
                Element::F16 => Tensor::zero::<f16>(&shape),
                Element::I64 => Tensor::zero::<i64>(&shape),
                Element::I32 => Tensor::zero::<i32>(&shape),
            }
            .map(Arc::new)
        };
        let inputs = plan.signature.inputs.iter().map(zero).collect::<TractResult<_>>();
        let inputs = inputs.map_err(failed)?;
        Ok(Self { plan, state, inputs })
    }

    /// The session of a model: this one, or around it one that reads quantiles.
    pub(crate) fn boxed(self) -> Box<dyn Session> {
        let signature = Arc::clone(&self.plan.signature);
        match QuantileSession::new(self, &signature) {
            Ok(session) => Box::new(session),
            Err(session) => Box::new(session),
        }
    }

    /// Writes the numbers of one call; its errors do not name the file.
    pub(crate) fn run(&mut self, features: &Features, numbers: &mut [f64]) -> Result<()> {
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.plan.state()?,
        };
        for (input, tensor) in self.plan.signature.inputs.iter().zip(&mut self.inputs) {
            fill(input, tensor, features).map_err(failed)?;
        }
        let inputs = self.inputs.iter().map(|input| Arc::clone(input).into_tvalue()).collect();
        let outputs = state.run(inputs).map_err(failed)?;
        self.plan.answer(&outputs, numbers)?;
        self.state = Some(state);
        Ok(())
    }
}

/// The features in every row of an input.
fn fill(input: &Input, tensor: &mut Arc<Tensor>, features: &Features) -> TractResult<()> {
    if Arc::get_mut(tensor).is_none() {
        *tensor = Arc::new(Tensor::clone(tensor));
    }
    let row = input.columns.iter().map(|column| features.value(*column));
    if let Some(tensor) = Arc::get_mut(tensor) {
        let mut values = tensor.try_as_plain_ram_mut()?;
        match input.element {
            Element::F32 => repeat(row.map(|value| value as f32), values.as_slice_mut()?),
            Element::F64 => repeat(row, values.as_slice_mut()?),
            Element::F16 => repeat(row.map(Element::half), values.as_slice_mut()?),
            Element::I64 => repeat(row.map(Element::long), values.as_slice_mut()?),
            Element::I32 => repeat(row.map(Element::int), values.as_slice_mut()?),
        }
    }
    Ok(())
}

impl Session for TractSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        let mut numbers = [0.0; 3];
        Engine::run(self, features, &mut numbers)?;
        Ok(self.plan.signature.prediction(numbers))
    }
}

impl Engine for TractSession {
    fn run(&mut self, features: &Features, numbers: &mut [f64]) -> Result<()> {
        without_panic(ErrorKind::Internal, || self.run(features, numbers))
            .map_err(|error| error.at(self.plan.path.display()))
    }
}

fn repeat<T>(row: impl Iterator<Item = T> + Clone, rows: &mut [T]) {
    for (target, value) in rows.iter_mut().zip(row.cycle()) {
        *target = value;
    }
}

fn failed(error: TractError) -> Error {
    Error::internal("tract cannot run the graph").with_source(error)
}

#[cfg(test)]
mod tests {
    use hyperfake_predictor::ModelUri;
    use hyperfake_predictor_onnx::OnnxFile;
    use hyperfake_predictor_testkit::reference::LINEAR;

    use super::*;
    use crate::open;

    #[test]
    fn the_input_tensor_is_reused() {
        let uri = ModelUri::from_path("a.onnx");
        let file = OnnxFile::parse(&uri, LINEAR.to_onnx().to_bytes()).unwrap();
        let mut session = TractSession::new(open::open(&file).unwrap()).unwrap();
        let input = Arc::as_ptr(&session.inputs[0]);
        for _ in 0..3 {
            session.predict(&Features::IDLE).unwrap();
            assert_eq!(
                (Arc::strong_count(&session.inputs[0]), Arc::as_ptr(&session.inputs[0])),
                (1, input)
            );
            assert!(session.state.is_some());
        }
    }
}
