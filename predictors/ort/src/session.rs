use std::{fmt, sync::Arc};

use hyperfake_predictor::{Features, RawPrediction, Result, Session};
use hyperfake_predictor_onnx::{Engine, QuantileSession};
use ort::session::{HasSelectedOutputs, RunOptions, SessionInputValue};

use crate::{
    plan::{Plan, failed},
    tensor::{InputTensor, read},
};

/// One thread's session, with its inputs and outputs.
pub(crate) struct OrtSession {
    plan: Arc<Plan>,
    graph: ort::session::Session,
    /// Written again for each call.
    inputs: Vec<InputTensor>,
    /// With the outputs, which each run writes again.
    options: RunOptions<HasSelectedOutputs>,
}

impl OrtSession {
    pub(crate) fn new(plan: Arc<Plan>, graph: ort::session::Session) -> Result<Self> {
        let inputs = plan.inputs().map_err(failed)?;
        let options = plan.options().map_err(failed)?;
        Ok(Self { plan, graph, inputs, options })
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
    pub(crate) fn run(&mut self, features: &Features, numbers: &mut [f64]) -> ort::Result<()> {
        let signature = &self.plan.signature;
        for (tensor, input) in self.inputs.iter_mut().zip(&signature.inputs) {
            tensor.fill(input, features);
        }
        let outputs = match &self.inputs[..] {
            [input] => self.graph.run_with_options([input.value()], &self.options)?,
            inputs => {
                let values: Vec<SessionInputValue<'_>> =
                    inputs.iter().map(InputTensor::value).collect();
                self.graph.run_with_options(&values[..], &self.options)?
            }
        };
        let parts = numbers.chunks_mut(signature.numbers());
        for (index, (numbers, buffer)) in parts.zip(&self.plan.buffers).enumerate() {
            read(&outputs[index], buffer.element, numbers)?;
        }
        Ok(())
    }
}

impl Session for OrtSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        let mut numbers = [0.0; 3];
        Engine::run(self, features, &mut numbers)?;
        Ok(self.plan.signature.prediction(numbers))
    }
}

impl Engine for OrtSession {
    fn run(&mut self, features: &Features, numbers: &mut [f64]) -> Result<()> {
        self.run(features, numbers).map_err(|error| failed(error).at(self.plan.path.display()))
    }
}

impl fmt::Debug for OrtSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrtSession").field("plan", &self.plan).finish_non_exhaustive()
    }
}
