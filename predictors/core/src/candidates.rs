//! A file as the backends that claim it open it: which of them may serve, and why the others do not.

use std::sync::Arc;

use crate::{
    Backend, Declined, Domain, Error, ErrorKind, Features, Loaded, ModelUri, Opened, Result,
    Settings, adapt, guarded, trial::Trial,
};

/// A model file is input from outside: a library that panics on it must not take the worker down.
pub(crate) fn open(backend: &dyn Backend, uri: &ModelUri) -> Result<Vec<Opened>> {
    let engine = backend.formats().name;
    let opened = guarded(ErrorKind::Invalid, engine, || backend.open_all(uri));
    opened.map_err(|error| if error.has_subject() { error } else { error.at(uri) })
}

pub(crate) fn apply_settings(uri: &ModelUri, models: Vec<Opened>) -> Result<Vec<Opened>> {
    let apply = |opened: Opened| {
        Settings::check_names(opened.predictor.info().settings.keys())
            .and_then(|()| adapt(Arc::clone(&opened.predictor)))
            .map(|predictor| Opened { predictor, ..opened })
            .map_err(|error| error.at(uri))
    };
    models.into_iter().map(apply).collect()
}

/// A file as one backend opened it, and what its first model answered.
pub(crate) struct Candidate {
    pub(crate) models: Vec<Opened>,
    pub(crate) points: Vec<Features>,
    pub(crate) trial: Trial,
}

impl Candidate {
    pub(crate) fn new(models: Vec<Opened>) -> Result<Self> {
        let first = models.first().ok_or_else(|| Error::invalid("it is empty"))?;
        let points = Domain::of_model(first.predictor.info()).typical();
        let trial = Trial::of(&*first.predictor, &points);
        Ok(Self { points, trial, models })
    }
}

/// The backend whose answers count as right, asked when the first answer has to be compared.
pub(crate) enum Reference<'a> {
    Unasked(&'a dyn Backend, &'a ModelUri),
    Asked(&'static str, Candidate),
    None,
}

impl<'a> Reference<'a> {
    pub(crate) fn of(candidates: &[&'a Arc<dyn Backend>], uri: &'a ModelUri) -> Self {
        let found = candidates.iter().copied().find(|backend| backend.is_reference());
        found.map_or(Self::None, |backend| Self::Unasked(backend.as_ref(), uri))
    }

    pub(crate) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Asked(name, _) => Some(name),
            _ => None,
        }
    }

    /// Nothing if there is no reference; then where a candidate differs from it, if it does.
    pub(crate) fn difference(&mut self, candidate: &Candidate) -> Option<Option<Error>> {
        if let Self::Unasked(backend, uri) = *self {
            let opened = open(backend, uri).and_then(|models| apply_settings(uri, models));
            *self = match opened.and_then(Candidate::new) {
                Ok(opened) => Self::Asked(backend.formats().name, opened),
                // It says so itself when its turn comes.
                Err(_) => Self::None,
            };
        }
        match self {
            Self::Asked(name, right) => {
                Some(candidate.trial.first_difference(&right.trial, name, &right.points))
            }
            _ => None,
        }
    }
}

/// Why backends do not serve a file.
#[derive(Default)]
pub(crate) struct Reasons(pub(crate) Vec<Declined>);

impl Reasons {
    pub(crate) fn add(&mut self, backend: &'static str, error: Error) {
        self.0.push(Declined { backend, error });
    }

    pub(crate) fn contradict(&self) -> bool {
        self.0.iter().any(|declined| declined.error.kind() == ErrorKind::Conflict)
    }

    pub(crate) fn loaded(self, candidate: Candidate, agrees_with: Option<&'static str>) -> Loaded {
        Loaded { models: candidate.models, declined: self.0, agrees_with, fault: None }
    }

    /// One line: each reason once, with the backends that give it, and without the file's name.
    pub(crate) fn into_error(mut self, uri: &ModelUri) -> Error {
        if self.0.len() == 1 {
            let error = self.0.remove(0).error;
            return if error.has_subject() { error } else { error.at(uri) };
        }
        let mut reasons: Vec<(Vec<&str>, String)> = Vec::new();
        for Declined { backend, error } in &self.0 {
            let reason = error.without_subjects();
            match reasons.iter_mut().find(|(_, known)| *known == reason) {
                Some((backends, _)) => backends.push(backend),
                None => reasons.push((vec![backend], reason)),
            }
        }
        let kind = if self.contradict() { ErrorKind::Conflict } else { ErrorKind::Invalid };
        let reasons: Vec<_> = reasons
            .into_iter()
            .map(|(backends, reason)| format!("{}: {reason}", backends.join(", ")))
            .collect();
        Error::new(kind, format!("no backend can serve it: {}", reasons.join("; "))).at(uri)
    }
}
