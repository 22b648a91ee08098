//! What stands between a call and its model's session, in this order:
//!
//! 1. trained range: inputs outside are counted or brought inside ([`Extrapolation`]);
//! 2. panic guard: a panic of the model's runtime ends this call, and the session is made anew;
//! 3. units: the model's numbers become nanoseconds, cores and bytes. The registry in
//!    `predictors/core` adds this to the session when it opens the file, because it compares engines
//!    in these units;
//! 4. limits: each number is brought into its range ([`Limits`]);
//! 5. time scale: the run time is multiplied ([`TimeScale`]).
//!
//! [`Extrapolation`]: super::Extrapolation

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use hyperfake_predictor::{Error, Features, Limits, Prediction, RawPrediction, Result, Session};

use super::Model;
use crate::scenario::TimeScale;

/// What predictions are held to, for all models.
#[derive(Debug, Clone, Copy)]
pub struct Layers {
    /// The range of each number.
    pub limits: Limits,
    /// A factor for run times.
    pub time_scale: TimeScale,
}

impl Layers {
    /// A run time that was stated, within the limit and scaled.
    #[must_use]
    pub fn run_time(&self, stated: Duration) -> Duration {
        self.time_scale.apply(stated.min(self.limits.max_runtime))
    }
}

/// What a model answers for a call.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The model's own numbers, in nanoseconds, cores and bytes.
    pub raw: RawPrediction,
    /// The same within the limits and scaled.
    pub prediction: Prediction,
}

/// One thread's state for the calls of a model.
pub struct ModelSession {
    model: Arc<Model>,
    /// Made when it is first needed.
    session: Option<Box<dyn Session>>,
}

impl ModelSession {
    /// Of this model.
    #[must_use]
    pub fn new(model: &Arc<Model>) -> Self {
        Self { model: Arc::clone(model), session: None }
    }

    /// Asks the model.
    ///
    /// # Errors
    ///
    /// When there is no session to be had, what the model fails with, and `Internal` when its
    /// runtime panics; each names the image.
    pub fn predict(&mut self, features: &Features, layers: &Layers) -> Result<Answer> {
        let Self { model, session } = self;
        let inside = model.range.as_ref().and_then(|range| range.check(features));
        let features = inside.as_ref().unwrap_or(features);
        let ask = || match session {
            Some(session) => session.predict(features),
            None => session.insert(model.predictor.session()?).predict(features),
        };
        let raw = match catch_unwind(AssertUnwindSafe(ask)) {
            Ok(raw) => raw.map_err(|error| error.at(&model.image))?,
            Err(_) => {
                *session = None;
                let backend = model.predictor.info().backend;
                let message = format!("the backend '{backend}' panicked");
                return Err(Error::internal(message).at(&model.image));
            }
        };
        let checked = layers.limits.check(raw);
        if checked.corrections != [None; 3] {
            model.corrections.count(&checked);
        }
        let mut prediction = checked.prediction;
        prediction.runtime = layers.time_scale.apply(prediction.runtime);
        Ok(Answer { raw, prediction })
    }
}

impl std::fmt::Debug for ModelSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelSession").field("model", &self.model.image).finish_non_exhaustive()
    }
}
