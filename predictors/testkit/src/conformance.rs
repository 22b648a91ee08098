use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use hyperfake_predictor::{Backend, Backends, Features, ModelUri, Predictor, RawPrediction, adapt};

use crate::promises;

/// Runs every promise against one backend.
///
/// Each model is opened twice: by the backend itself, and through [`Backends`], as the worker
/// does it. Each promise is a function; when it is broken, its name is in the failure.
#[derive(Debug)]
pub struct Conformance {
    backend: Arc<dyn Backend>,
    known: Vec<Known>,
    skips: Vec<(&'static str, &'static str)>,
}

impl Conformance {
    /// A run without models yet.
    pub fn of(backend: impl Backend) -> Self {
        Self { backend: Arc::new(backend), known: Vec::new(), skips: Vec::new() }
    }

    /// Adds a model. At least one is needed.
    #[must_use]
    pub fn known(mut self, known: Known) -> Self {
        self.known.push(known);
        self
    }

    /// Leaves out a promise that this backend cannot keep, and says why.
    #[must_use]
    pub fn skip(mut self, promise: &'static str, reason: &'static str) -> Self {
        self.skips.push((promise, reason));
        self
    }

    /// Checks every promise and prints those that were skipped.
    ///
    /// # Panics
    ///
    /// When a promise is broken, with the name of each one that is and how it was broken. Also
    /// when there is no model, or when a promise to skip does not exist.
    pub fn run(&self) {
        assert!(!self.known.is_empty(), "at least one model with known answers is needed");
        for (name, _) in &self.skips {
            let mut names = promises::OF_A_BACKEND
                .iter()
                .map(|promise| promise.0)
                .chain(promises::OF_A_MODEL.iter().map(|promise| promise.0));
            assert!(names.any(|known| known == *name), "no promise is called '{name}'");
        }
        let mut broken = Vec::new();
        let backends = Backends::new([Arc::clone(&self.backend)]);
        let backend = BackendCase { backend: self.backend.as_ref(), backends: &backends };
        for (name, promise) in promises::OF_A_BACKEND {
            let outcome = self.outcome(name, || promise(&backend));
            broken.extend(self.report(name, "any file", outcome));
        }
        for known in &self.known {
            for way in [Way::Directly, Way::ThroughTheRegistry] {
                let model = ModelCase { backend: &backend, known, way };
                for (name, promise) in promises::OF_A_MODEL {
                    let outcome = self.outcome(name, || promise(&model));
                    broken.extend(self.report(name, format_args!("{}, {way}", known.uri), outcome));
                }
            }
        }
        assert!(
            broken.is_empty(),
            "the backend '{}' does not keep its promises:\n{}",
            self.backend.formats().name,
            broken.join("\n")
        );
    }

    fn outcome(&self, name: &str, promise: impl FnOnce() -> Outcome) -> Outcome {
        if let Some((_, reason)) = self.skips.iter().find(|(skipped, _)| *skipped == name) {
            return Err(NotKept::Skipped((*reason).to_owned()));
        }
        catch_unwind(AssertUnwindSafe(promise)).unwrap_or_else(|panic| {
            Err(NotKept::Broken(format!("it panicked: {}", panic_text(panic.as_ref()))))
        })
    }

    fn report(&self, name: &str, about: impl fmt::Display, outcome: Outcome) -> Option<String> {
        match outcome {
            Ok(()) => None,
            Err(NotKept::Skipped(reason)) => {
                println!("skipped {name} ({about}): {reason}");
                None
            }
            Err(NotKept::Broken(how)) => Some(format!("- {name} ({about}): {how}")),
        }
    }
}

/// A model whose answers are known.
pub struct Known {
    pub(crate) uri: ModelUri,
    pub(crate) law: Law,
    pub(crate) tolerance: f64,
}

type Law = Box<dyn Fn(&Features) -> RawPrediction + Send + Sync>;

impl Known {
    /// The model at `uri` answers as `law` does.
    ///
    /// `tolerance` is relative: an answer may be off by that share of what is expected, where
    /// anything below a thousandth counts as a thousandth. It is also how far an answer in a
    /// batch may be from the same answer alone.
    pub fn new(
        uri: ModelUri,
        law: impl Fn(&Features) -> RawPrediction + Send + Sync + 'static,
        tolerance: f64,
    ) -> Self {
        Self { uri, law: Box::new(law), tolerance }
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
        broken(format!(
            "{features:?}: found {answer:?}, expected {expected:?} to a relative {:e}",
            self.tolerance
        ))
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("uri", &self.uri)
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

/// What a promise about a backend is checked on.
pub(crate) struct BackendCase<'a> {
    pub(crate) backend: &'a dyn Backend,
    /// The same backend, alone in a registry.
    pub(crate) backends: &'a Backends,
}

/// What a promise about a model is checked on.
pub(crate) struct ModelCase<'a> {
    pub(crate) backend: &'a BackendCase<'a>,
    pub(crate) known: &'a Known,
    pub(crate) way: Way,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Directly,
    ThroughTheRegistry,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directly => "directly",
            Self::ThroughTheRegistry => "through the registry",
        })
    }
}

impl BackendCase<'_> {
    pub(crate) fn open(
        &self,
        uri: &ModelUri,
        way: Way,
    ) -> hyperfake_predictor::Result<Arc<dyn Predictor>> {
        match way {
            Way::Directly => self.backend.open(uri).and_then(adapt),
            Way::ThroughTheRegistry => {
                let mut models = self.backends.open(uri)?.models;
                let named = |image: &Option<String>| image.as_deref() == uri.name();
                let index = models.iter().position(|model| named(&model.image)).unwrap_or(0);
                Ok(models.swap_remove(index).predictor)
            }
        }
    }
}

impl ModelCase<'_> {
    pub(crate) fn open(&self) -> Result<Arc<dyn Predictor>, NotKept> {
        self.backend.open(&self.known.uri, self.way).or_broken("opening it")
    }
}

/// Whether a promise was kept.
pub(crate) type Outcome = Result<(), NotKept>;

/// Why a promise was not kept.
#[derive(Debug)]
pub(crate) enum NotKept {
    /// It does not apply, for this reason.
    Skipped(String),
    /// It was broken like this.
    Broken(String),
}

pub(crate) fn broken<T>(how: impl Into<String>) -> Result<T, NotKept> {
    Err(NotKept::Broken(how.into()))
}

impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Skipped(text) | Self::Broken(text)) = self;
        f.write_str(text)
    }
}

/// Turns an error of any kind into a broken promise.
pub(crate) trait OrBroken<T> {
    fn or_broken(self, doing: &str) -> Result<T, NotKept>;
}

impl<T, E: fmt::Display> OrBroken<T> for Result<T, E> {
    fn or_broken(self, doing: &str) -> Result<T, NotKept> {
        self.or_else(|error| broken(format!("{doing} failed: {error}")))
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text")
}
