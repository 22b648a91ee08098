use std::{fmt, sync::Arc};

use hyperfake_predictor::{
    Backend, Backends, Features, ModelUri, Predictor, RawPrediction, Uniforms, adapt,
};

/// A model whose answers are known.
pub struct ReferenceModel {
    pub(crate) uri: ModelUri,
    pub(crate) function: Function,
    pub(crate) draws: Option<Draws>,
    pub(crate) tolerance: f64,
}

type Draws = Box<dyn Fn(&Features, &Uniforms) -> RawPrediction + Send + Sync>;

type Function = Box<dyn Fn(&Features) -> RawPrediction + Send + Sync>;

impl ReferenceModel {
    /// The model at `uri` answers as `function` does.
    ///
    /// `tolerance` is relative: an answer may be off by that share of what is expected, where
    /// anything below a thousandth counts as a thousandth. It is also how far an answer in a
    /// batch may be from the same answer alone.
    pub fn new(
        uri: ModelUri,
        function: impl Fn(&Features) -> RawPrediction + Send + Sync + 'static,
        tolerance: f64,
    ) -> Self {
        Self { uri, function: Box::new(function), draws: None, tolerance }
    }

    /// The model knows distributions, and draws as `draws` does, to the same tolerance; what it
    /// predicts are the means.
    #[must_use]
    pub fn drawing(
        mut self,
        draws: impl Fn(&Features, &Uniforms) -> RawPrediction + Send + Sync + 'static,
    ) -> Self {
        self.draws = Some(Box::new(draws));
        self
    }

    /// An error unless the answer is what is expected, to the tolerance.
    pub(crate) fn compare(
        &self,
        features: &Features,
        answer: RawPrediction,
        expected: RawPrediction,
    ) -> Outcome {
        let close = |(answer, expected): (f64, f64)| {
            answer == expected
                || (answer - expected).abs() <= self.tolerance * expected.abs().max(1e-3)
        };
        let mut pairs = answer.to_array().into_iter().zip(expected.to_array());
        if pairs.all(close) {
            return Ok(());
        }
        violated(format!(
            "{features:?}: found {answer:?}, expected {expected:?} to a relative {:e}",
            self.tolerance
        ))
    }
}

impl fmt::Debug for ReferenceModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReferenceModel")
            .field("uri", &self.uri)
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

/// What a property about a backend is checked on.
pub(crate) struct BackendCase<'a> {
    pub(crate) backend: &'a dyn Backend,
    /// The same backend, alone in a registry.
    pub(crate) backends: &'a Backends,
}

/// What a property about a model is checked on.
pub(crate) struct ModelCase<'a> {
    pub(crate) backend: &'a BackendCase<'a>,
    pub(crate) model: &'a ReferenceModel,
    pub(crate) via: OpenVia,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenVia {
    Backend,
    Registry,
}

impl fmt::Display for OpenVia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backend => "directly",
            Self::Registry => "through the registry",
        })
    }
}

impl BackendCase<'_> {
    pub(crate) fn open(
        &self,
        uri: &ModelUri,
        via: OpenVia,
    ) -> hyperfake_predictor::Result<Arc<dyn Predictor>> {
        match via {
            OpenVia::Backend => self.backend.open(uri).and_then(adapt),
            OpenVia::Registry => {
                let mut models = self.backends.open(uri)?.models;
                let named = |image: &Option<String>| image.as_deref() == uri.name();
                let index = models.iter().position(|model| named(&model.image)).unwrap_or(0);
                Ok(models.swap_remove(index).predictor)
            }
        }
    }
}

impl ModelCase<'_> {
    pub(crate) fn open(&self) -> Result<Arc<dyn Predictor>, Failure> {
        self.backend.open(&self.model.uri, self.via).or_violated("opening it")
    }
}

/// Whether a property holds.
pub(crate) type Outcome = Result<(), Failure>;

/// Why a property was skipped or does not hold.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It does not apply, for this reason.
    Skipped(String),
    /// It does not hold, for this reason.
    Violated(String),
}

pub(crate) fn violated<T>(how: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Violated(how.into()))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Skipped(text) | Self::Violated(text)) = self;
        f.write_str(text)
    }
}

/// Turns an error of any kind into a violation.
pub(crate) trait OrViolated<T> {
    fn or_violated(self, doing: &str) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> OrViolated<T> for Result<T, E> {
    fn or_violated(self, doing: &str) -> Result<T, Failure> {
        self.or_else(|error| violated(format!("{doing} failed: {error}")))
    }
}
