use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use hyperfake_predictor::{Backend, Backends};

use crate::{
    case::{BackendCase, Failure, ModelCase, OpenVia, Outcome, ReferenceModel},
    properties,
};

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
        Self::of_shared(Arc::new(backend))
    }

    /// As [`Conformance::of`].
    #[must_use]
    pub fn of_shared(backend: Arc<dyn Backend>) -> Self {
        Self { backend, models: Vec::new(), skips: Vec::new() }
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

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text")
}
