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

use hyperfake_predictor::{
    Error, Features, Limits, Prediction, RawPrediction, Result, Session, Uniforms,
};

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

/// What a model answers for a call: what it predicts, or what was drawn from its distributions.
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

    /// Asks the model what it predicts.
    ///
    /// # Errors
    ///
    /// When there is no session to be had, what the model fails with, and `Internal` when its
    /// runtime panics; each names the image.
    pub fn predict(&mut self, features: &Features, layers: &Layers) -> Result<Answer> {
        self.ask(features, layers, |session, features| session.predict(features))
    }

    /// Draws a call from the distributions that the model knows.
    ///
    /// # Errors
    ///
    /// As [`ModelSession::predict`].
    pub fn draw(
        &mut self,
        features: &Features,
        layers: &Layers,
        uniforms: &Uniforms,
    ) -> Result<Answer> {
        self.ask(features, layers, |session, features| session.draw(features, uniforms))
    }

    // Neither of the two pays for the other.
    #[inline(always)]
    fn ask(
        &mut self,
        features: &Features,
        layers: &Layers,
        ask: impl FnOnce(&mut dyn Session, &Features) -> Result<RawPrediction>,
    ) -> Result<Answer> {
        let Self { model, session } = self;
        let inside = model.range.as_ref().and_then(|range| range.check(features));
        let features = inside.as_ref().unwrap_or(features);
        let ask = || match session {
            Some(session) => ask(&mut **session, features),
            None => ask(&mut **session.insert(model.predictor.session()?), features),
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

#[cfg(test)]
mod tests {
    use hyperfake_predictor::{
        Backend, Backends, ErrorKind, Feature, Formats, ModelInfo, ModelUri, Predictor, Range,
        Units,
    };

    use super::*;
    use crate::catalog::{Catalog, Extrapolation, Source};

    /// Takes a second for each byte of the request, and draws up to twice of that; panics at 13 bytes.
    #[derive(Debug)]
    struct Slow;

    #[derive(Debug)]
    struct Model(ModelInfo);

    impl Backend for Slow {
        fn formats(&self) -> &'static Formats {
            &Formats { name: "slow", schemes: &["slow"], extensions: &["slow"] }
        }

        fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
            Ok(Arc::new(Model(ModelInfo {
                path: uri.path().to_owned(),
                backend: "slow",
                inputs: vec![Feature::RequestBytes],
                units: Units::NATIVE,
                trained: vec![Range::new(0.0, 20.0)],
                deterministic: true,
                knows_distributions: true,
                settings: uri.parameters().clone(),
            })))
        }
    }

    impl Predictor for Model {
        fn info(&self) -> &ModelInfo {
            &self.0
        }

        fn session(&self) -> Result<Box<dyn Session>> {
            Ok(Box::new(Bytes))
        }
    }

    struct Bytes;

    impl Session for Bytes {
        fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
            assert_ne!(features.request_bytes, 13.0);
            Ok(RawPrediction::from_array([features.request_bytes, 1.0, -8.0]))
        }

        fn draw(&mut self, features: &Features, uniforms: &Uniforms) -> Result<RawPrediction> {
            let mut drawn = self.predict(features)?;
            drawn.runtime_ns *= 2.0 * uniforms.run_time;
            drawn.cpu_cores = uniforms.cpu;
            drawn.ram_bytes *= uniforms.ram;
            Ok(drawn)
        }
    }

    fn session() -> ModelSession {
        let backend = Arc::new(Slow) as Arc<dyn Backend>;
        let mut catalog = Catalog::new(Extrapolation::Clamp);
        let source = Source { uri: "a.slow?runtime_unit=s".parse().unwrap(), image: None };
        catalog.add(&source, &Backends::new([backend])).unwrap();
        ModelSession::new(&catalog.models()[0])
    }

    fn layers() -> Layers {
        let limits = Limits { max_runtime: Duration::from_secs(30) };
        Layers { limits, time_scale: "0.5".parse().unwrap() }
    }

    fn bytes(request_bytes: f64) -> Features {
        Features { request_bytes, ..Features::IDLE }
    }

    #[test]
    fn a_draw_passes_through_every_layer() {
        let mut session = session();
        let uniforms = Uniforms { run_time: 0.75, cpu: 0.25, ram: 0.5 };
        let Answer { raw, prediction } = session.draw(&bytes(10.0), &layers(), &uniforms).unwrap();
        // The unit, then the limit of RAM and the time scale.
        assert_eq!(raw.to_array(), [15e9, 0.25, -4.0]);
        assert_eq!(prediction.runtime, Duration::from_millis(7500));
        assert_eq!((prediction.cpu_cores, prediction.ram_bytes), (0.25, 0));
        assert_eq!(session.model.corrections(), 1);
        // The trained range ends at 20 bytes, of which 1.5 times are 30 s.
        let far = session.draw(&bytes(1e6), &layers(), &uniforms).unwrap();
        assert_eq!(far.prediction.runtime, Duration::from_secs(15));
        assert_eq!(session.model.outside(), [(Feature::RequestBytes, 1)]);
        let late = Uniforms { run_time: 0.999, ..uniforms };
        let late = session.draw(&bytes(20.0), &layers(), &late).unwrap();
        assert_eq!(late.prediction.runtime, Duration::from_secs(15));
        assert_eq!(session.model.corrections(), 3);
        let predicted = session.predict(&bytes(10.0), &layers()).unwrap();
        assert_eq!(predicted.prediction.runtime, Duration::from_secs(5));
    }

    #[test]
    fn a_panic_in_a_draw_is_an_error_and_the_session_is_made_anew() {
        let mut session = session();
        let uniforms = Uniforms::same(0.5);
        let error = session.draw(&bytes(13.0), &layers(), &uniforms).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(error.to_string(), "a: the backend 'slow' panicked");
        let answer = session.draw(&bytes(10.0), &layers(), &uniforms).unwrap();
        assert_eq!(answer.prediction.runtime, Duration::from_secs(5));
    }
}
