use std::sync::Arc;

use hyperfake_predictor::{Error, ErrorKind, Features, RawPrediction, Result, Session};
use tract_onnx::{prelude::*, tract_hir::internal::TypedSimpleState};

use crate::{graph::Element, plan::Plan, without_panic};

/// One thread's state for a plan.
pub(crate) struct TractSession {
    plan: Arc<Plan>,
    /// Gone while the graph runs, and after it failed or panicked: half a run must not leak into
    /// the next.
    state: Option<TypedSimpleState>,
    /// Written again for each call, unless the graph kept it.
    input: Arc<Tensor>,
}

impl TractSession {
    pub(crate) fn new(plan: Arc<Plan>) -> Result<Self> {
        let state = Some(plan.state()?);
        let shape = [plan.rows, plan.columns.len()];
        let input = match plan.element {
            Element::F32 => Tensor::zero::<f32>(&shape),
            Element::F64 => Tensor::zero::<f64>(&shape),
        };
        Ok(Self { plan, state, input: Arc::new(input.map_err(failed)?) })
    }

    /// One prediction; its errors do not name the file.
    pub(crate) fn run(&mut self, features: &Features) -> Result<RawPrediction> {
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.plan.state()?,
        };
        self.fill(features).map_err(failed)?;
        let input = Arc::clone(&self.input).into_tvalue();
        let outputs = state.run(tvec!(input)).map_err(failed)?;
        let answer = self.plan.answer(&outputs)?;
        self.state = Some(state);
        Ok(answer)
    }

    /// The features in every row of the input.
    fn fill(&mut self, features: &Features) -> TractResult<()> {
        if Arc::get_mut(&mut self.input).is_none() {
            self.input = Arc::new(Tensor::clone(&self.input));
        }
        let row = self.plan.columns.iter().map(|column| features.value(*column));
        if let Some(input) = Arc::get_mut(&mut self.input) {
            let mut values = input.try_as_plain_ram_mut()?;
            match self.plan.element {
                Element::F32 => repeat(row.map(|value| value as f32), values.as_slice_mut()?),
                Element::F64 => repeat(row, values.as_slice_mut()?),
            }
        }
        Ok(())
    }
}

impl Session for TractSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        without_panic(ErrorKind::Internal, || self.run(features))
            .map_err(|error| error.at(self.plan.path.display()))
    }
}

fn repeat<T>(row: impl Iterator<Item = T> + Clone, rows: &mut [T]) {
    for (target, value) in rows.iter_mut().zip(row.cycle()) {
        *target = value;
    }
}

fn failed(error: TractError) -> Error {
    Error::new(ErrorKind::Internal, "tract cannot run the graph").with_source(error)
}

#[cfg(test)]
mod tests {
    use hyperfake_predictor::ModelUri;
    use hyperfake_predictor_testkit::laws::LINEAR;

    use super::*;
    use crate::source::Source;

    #[test]
    fn the_graph_gives_the_input_back_so_that_it_can_be_written_again() {
        let uri = ModelUri::from_path("a.onnx");
        let source = Source::read(&uri, &LINEAR.to_onnx().to_bytes()).unwrap();
        let mut session = TractSession::new(Plan::load(&source).unwrap()).unwrap();
        let input = Arc::as_ptr(&session.input);
        for _ in 0..3 {
            session.predict(&Features::IDLE).unwrap();
            assert_eq!(
                (Arc::strong_count(&session.input), Arc::as_ptr(&session.input)),
                (1, input)
            );
            assert!(session.state.is_some());
        }
    }
}
