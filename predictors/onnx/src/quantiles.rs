//! Sessions of models whose outputs are quantiles, the same for every engine.

use std::sync::Arc;

use hyperfake_predictor::{Features, Levels, Output, RawPrediction, Result, Session, Uniforms};

use crate::Signature;

/// What runs a graph.
pub trait Engine: Send {
    /// Writes the numbers that a graph gives for one call, in the order of its outputs:
    /// [`Signature::width`] of them.
    ///
    /// # Errors
    ///
    /// When the engine fails.
    fn run(&mut self, features: &Features, numbers: &mut [f64]) -> Result<()>;
}

/// One thread's session of a model whose outputs are quantiles.
///
/// Quantiles that a graph gives in another order than that of their levels are sorted.
#[derive(Debug)]
pub struct QuantileSession<E> {
    engine: E,
    levels: Levels,
    signature: Arc<Signature>,
    /// The numbers of the last run, those of an output together and sorted.
    numbers: Vec<f64>,
}

impl<E: Engine> QuantileSession<E> {
    /// A session with the levels of the signature, if it has some; else the engine, back.
    ///
    /// # Errors
    ///
    /// The engine, when the model gives one number for each output.
    pub fn new(engine: E, signature: &Arc<Signature>) -> Result<Self, E> {
        match &signature.levels {
            None => Err(engine),
            Some(levels) => Ok(Self {
                engine,
                levels: levels.clone(),
                signature: Arc::clone(signature),
                numbers: vec![0.0; signature.width()],
            }),
        }
    }

    fn run(&mut self, features: &Features) -> Result<()> {
        self.engine.run(features, &mut self.numbers)?;
        for quantiles in self.numbers.chunks_exact_mut(self.levels.count()) {
            quantiles.sort_unstable_by(f64::total_cmp);
        }
        Ok(())
    }

    /// What becomes of the quantiles of each output.
    fn answer(&self, number: impl Fn(Output, &[f64]) -> f64) -> RawPrediction {
        let mut answer = [0.0; 3];
        let quantiles = self.numbers.chunks_exact(self.levels.count());
        for (output, quantiles) in self.signature.targets.order().into_iter().zip(quantiles) {
            answer[output as usize] = number(output, quantiles);
        }
        RawPrediction::from_array(answer)
    }
}

impl<E: Engine> Session for QuantileSession<E> {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        self.run(features)?;
        Ok(self.answer(|_, quantiles| self.levels.mean(quantiles)))
    }

    fn draw(&mut self, features: &Features, uniforms: &Uniforms) -> Result<RawPrediction> {
        self.run(features)?;
        Ok(self.answer(|output, quantiles| self.levels.at(quantiles, uniforms.of(output))))
    }

    /// Runs the graph once for all levels.
    fn quantiles(
        &mut self,
        features: &Features,
        levels: &[f64],
        out: &mut [RawPrediction],
    ) -> Result<()> {
        debug_assert_eq!(levels.len(), out.len());
        self.run(features)?;
        for (level, out) in levels.iter().zip(out) {
            *out = self.answer(|_, quantiles| self.levels.at(quantiles, *level));
        }
        Ok(())
    }
}
