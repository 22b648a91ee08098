use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use hyperfake_predictor::{Backend, Backends, Features, ModelUri, Predictor, RawPrediction, adapt};

use crate::properties;

/// Runs every property against one backend.
///
/// Each model is opened twice: by the backend itself, and through [`Backends`], as the worker
/// does it. Each property is a function; when it is violated, its name is in the failure.
#[derive(Debug)]
pub struct Conformance {
    backend: Arc<dyn Backend>,
    models: Vec<ReferenceModel>,
    skips: Vec<(&'static str, &'static str)>,
}

impl Conformance {
    /// A run without models yet.
    pub fn of(backend: impl Backend) -> Self {
        Self { backend: Arc::new(backend), models: Vec::new(), skips: Vec::new() }
    }

    /// Adds a model. At least one is needed.
    #[must_use]
    pub fn model(mut self, model: ReferenceModel) -> Self {
        self.models.push(model);
        self
    }

    /// Skips a property that this backend cannot have, with the reason.
    #[must_use]
    pub fn skip(mut self, property: &'static str, reason: &'static str) -> Self {
        self.skips.push((property, reason));
        self
    }

    /// Checks every property and prints those that were skipped.
    ///
    /// # Panics
    ///
    /// When a property is violated, with the name of each one that is and how it was violated. Also
    /// when there is no model, or when a property to skip does not exist.
    pub fn run(&self) {
        assert!(!self.models.is_empty(), "at least one model with known answers is needed");
        for (name, _) in &self.skips {
            let mut names = properties::BACKEND
                .iter()
                .map(|property| property.0)
                .chain(properties::MODEL.iter().map(|property| property.0));
            assert!(names.any(|known| known == *name), "no property is called '{name}'");
        }
        let mut violations = Vec::new();
        let backends = Backends::new([Arc::clone(&self.backend)]);
        let backend = BackendCase { backend: self.backend.as_ref(), backends: &backends };
        for (name, property) in properties::BACKEND {
            let outcome = self.outcome(name, || property(&backend));
            violations.extend(self.report(name, "any file", outcome));
        }
        for model in &self.models {
            for via in [OpenVia::Backend, OpenVia::Registry] {
                let case = ModelCase { backend: &backend, model, via };
                for (name, property) in properties::MODEL {
                    let outcome = self.outcome(name, || property(&case));
                    violations.extend(self.report(
                        name,
                        format_args!("{}, {via}", model.uri),
                        outcome,
                    ));
                }
            }
        }
        assert!(
            violations.is_empty(),
            "the backend '{}' violates properties:\n{}",
            self.backend.formats().name,
            violations.join("\n")
        );
    }

    fn outcome(&self, name: &str, property: impl FnOnce() -> Outcome) -> Outcome {
        if let Some((_, reason)) = self.skips.iter().find(|(skipped, _)| *skipped == name) {
            return Err(Failure::Skipped((*reason).to_owned()));
        }
        catch_unwind(AssertUnwindSafe(property)).unwrap_or_else(|panic| {
            Err(Failure::Violated(format!("it panicked: {}", panic_text(panic.as_ref()))))
        })
    }

    fn report(&self, name: &str, about: impl fmt::Display, outcome: Outcome) -> Option<String> {
        match outcome {
            Ok(()) => None,
            Err(Failure::Skipped(reason)) => {
                println!("skipped {name} ({about}): {reason}");
                None
            }
            Err(Failure::Violated(how)) => Some(format!("- {name} ({about}): {how}")),
        }
    }
}

/// A model whose answers are known.
pub struct ReferenceModel {
    pub(crate) uri: ModelUri,
    pub(crate) function: Function,
    pub(crate) tolerance: f64,
}

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
        Self { uri, function: Box::new(function), tolerance }
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

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text")
}
