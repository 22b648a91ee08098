use std::{collections::BTreeSet, sync::Arc};

use crate::{
    Backend, Error, ErrorKind, ModelUri, Opened, Result, Settings,
    candidates::{Candidate, Reasons, Reference, apply_settings, open},
};

/// The backends that a program has, in the order in which they are asked.
#[derive(Debug, Clone, Default)]
pub struct Backends(Vec<Arc<dyn Backend>>);

/// What a file turned out to hold.
#[derive(Debug)]
pub struct Loaded {
    /// Its models; at least one.
    pub models: Vec<Opened>,
    /// The backends that were asked and do not serve the file, although they come first.
    pub declined: Vec<Declined>,
    /// The backend with whose answers those of the one that serves were compared: they agree.
    pub agrees_with: Option<&'static str>,
    /// Where the model gives something else than finite numbers, whichever backend is asked.
    pub fault: Option<Error>,
}

/// A backend's name, and what it made of a file.
pub type Attempt = (&'static str, Result<Vec<Opened>>);

/// A backend that claims a file's format but could not open the file.
#[derive(Debug)]
pub struct Declined {
    /// The backend's name.
    pub backend: &'static str,
    /// Why.
    pub error: Error,
}

impl Backends {
    /// Backends that claim the same extension are asked in this order.
    pub fn new(backends: impl IntoIterator<Item = Arc<dyn Backend>>) -> Self {
        Self(backends.into_iter().collect())
    }

    /// Every extension that some backend claims.
    #[must_use]
    pub fn extensions(&self) -> BTreeSet<&'static str> {
        self.0.iter().flat_map(|backend| backend.formats().extensions).copied().collect()
    }

    /// Opens every model of a file with the first backend that can, and adapts it to what its
    /// settings state (see [`Settings`]).
    ///
    /// Where several backends claim a file, each is tried at typical points ([`Domain`](crate::Domain)) before it
    /// may serve. One that fails there or gives something else than finite numbers declines, unless
    /// all do; one that does so everywhere never serves. One whose answers were not [compared](crate::Predictor::agrees_with) with another
    /// engine's yet is compared with the [reference](Backend::is_reference), where that can open
    /// the file, and declines if it answers otherwise.
    ///
    /// # Errors
    ///
    /// `Invalid` for a setting that there is none of, or with a value that makes no sense;
    /// `Unsupported`, with a list of what there is, when no backend claims the file; `Conflict`
    /// when backends contradict each other and there is no reference; otherwise the error of the
    /// only backend asked, or one error with all their reasons.
    pub fn open(&self, uri: &ModelUri) -> Result<Loaded> {
        let candidates = self.candidates(uri)?;
        Settings::check_names(uri.parameters().keys()).map_err(|error| error.at(uri))?;
        let mut reasons = Reasons::default();
        if let [only] = candidates[..] {
            let models = apply_settings(uri, open(only.as_ref(), uri)?)?;
            return Ok(Loaded { models, declined: reasons.0, agrees_with: None, fault: None });
        }
        let mut reference = Reference::of(&candidates, uri);
        let mut faulty: Option<Candidate> = None;
        for backend in candidates {
            let name = backend.formats().name;
            let models = match open(backend.as_ref(), uri) {
                Ok(models) => models,
                // No other backend will find a file that is not there.
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
                Err(error) => {
                    reasons.add(name, error);
                    continue;
                }
            };
            // An invalid setting is the user's error: no other backend is asked.
            let candidate = Candidate::new(apply_settings(uri, models)?)?;
            if let Some(fault) = candidate.trial.first_fault(&candidate.points) {
                reasons.add(name, fault);
                let fewer = |other: &Candidate| candidate.trial.faults() < other.trial.faults();
                if !candidate.trial.is_useless() && faulty.as_ref().is_none_or(fewer) {
                    faulty = Some(candidate);
                }
                continue;
            }
            if backend.is_reference() {
                return Ok(reasons.loaded(candidate, None));
            }
            let agrees_with = candidate.models[0].predictor.agrees_with();
            if agrees_with.is_some() {
                return Ok(reasons.loaded(candidate, agrees_with));
            }
            match reference.difference(&candidate) {
                Some(Some(difference)) => reasons.add(name, difference),
                Some(None) => {
                    let agrees_with = reference.name();
                    return Ok(reasons.loaded(candidate, agrees_with));
                }
                // Nothing says who of those that contradict each other is right.
                None if reasons.contradict() => break,
                None => return Ok(reasons.loaded(candidate, None)),
            }
        }
        match faulty {
            // It is the model that answers so.
            Some(candidate) if !reasons.contradict() => {
                let fault = candidate.trial.first_fault(&candidate.points);
                Ok(Loaded { fault, ..reasons.loaded(candidate, None) })
            }
            _ => Err(reasons.into_error(uri)),
        }
    }

    /// Opens a file with every backend that claims it, to compare them.
    ///
    /// # Errors
    ///
    /// `Unsupported`, with a list of what there is, when no backend claims the file.
    pub fn open_each(&self, uri: &ModelUri) -> Result<Vec<Attempt>> {
        let candidates = self.candidates(uri)?.into_iter();
        let open = |backend: &Arc<dyn Backend>| {
            open(backend.as_ref(), uri).and_then(|models| apply_settings(uri, models))
        };
        Ok(candidates.map(|backend| (backend.formats().name, open(backend))).collect())
    }

    fn candidates(&self, uri: &ModelUri) -> Result<Vec<&Arc<dyn Backend>>> {
        let miss = |message| Err(Error::unsupported(message).at(uri));
        if let Some(scheme) = uri.scheme() {
            let chosen = self.claiming(|backend| backend.formats().schemes.contains(&scheme));
            if chosen.is_empty() {
                let known: Vec<_> =
                    self.0.iter().flat_map(|backend| backend.formats().schemes).copied().collect();
                return miss(format!(
                    "no backend is called '{scheme}'; there are {}",
                    known.join(", ")
                ));
            }
            return Ok(chosen);
        }
        let extension = uri.extension().unwrap_or_default();
        let chosen =
            self.claiming(|backend| backend.formats().extensions.contains(&extension.as_str()));
        if chosen.is_empty() {
            let known: Vec<_> = self.extensions().iter().map(|known| format!(".{known}")).collect();
            let found = match extension.as_str() {
                "" => "a file without an extension".to_owned(),
                extension => format!("'.{extension}'"),
            };
            return miss(format!("found {found}, expected one of {}", known.join(", ")));
        }
        Ok(chosen)
    }

    fn claiming(&self, claims: impl Fn(&dyn Backend) -> bool) -> Vec<&Arc<dyn Backend>> {
        self.0.iter().filter(|backend| claims(backend.as_ref())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Feature, Features, Formats, ModelInfo, Predictor, RawPrediction, Session, Units};

    /// A backend whose `open` is a given function.
    #[derive(Debug)]
    struct Scripted(&'static Formats, fn(&ModelUri) -> Result<Arc<dyn Predictor>>);

    impl Backend for Scripted {
        fn formats(&self) -> &'static Formats {
            self.0
        }
        fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
            (self.1)(uri)
        }
    }

    #[derive(Debug)]
    struct Fixed(ModelInfo);

    impl Predictor for Fixed {
        fn info(&self) -> &ModelInfo {
            &self.0
        }
        fn session(&self) -> Result<Box<dyn Session>> {
            struct FixedSession;
            impl Session for FixedSession {
                fn predict(&mut self, _: &Features) -> Result<RawPrediction> {
                    Ok(RawPrediction::from_array([2.0, 3.0, 4.0]))
                }
            }
            Ok(Box::new(FixedSession))
        }
    }

    const FIRST: &Formats =
        &Formats { name: "first", schemes: &["first"], extensions: &["x", "y"] };
    const SECOND: &Formats = &Formats { name: "second", schemes: &["second"], extensions: &["x"] };

    fn refuse(uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        Err(Error::unsupported("too modern").at(uri))
    }

    fn open(uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        Ok(Arc::new(Fixed(ModelInfo {
            path: uri.path().to_owned(),
            backend: "second",
            inputs: Feature::ALL.to_vec(),
            units: Units::NATIVE,
            trained: Vec::new(),
            deterministic: true,
            knows_distributions: false,
            settings: Settings::read(uri, BTreeMap::new())?.into_map(),
        })))
    }

    fn backends(first: fn(&ModelUri) -> Result<Arc<dyn Predictor>>) -> Backends {
        let pair: [Arc<dyn Backend>; 2] =
            [Arc::new(Scripted(FIRST, first)), Arc::new(Scripted(SECOND, open))];
        Backends::new(pair)
    }

    fn refusal(backends: &Backends, uri: &str) -> String {
        backends.open(&uri.parse().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn the_next_backend_serves_a_file_that_an_earlier_one_declined() {
        let loaded = backends(refuse).open(&"a.x".parse().unwrap()).unwrap();
        assert_eq!(loaded.models[0].predictor.info().backend, "second");
        assert_eq!(loaded.declined[0].backend, "first");
        assert!(loaded.declined[0].error.to_string().contains("too modern"));
    }

    #[test]
    fn every_backend_that_claims_a_file_can_be_compared() {
        let backends = backends(refuse);
        let opened = backends.open_each(&"a.x".parse().unwrap()).unwrap();
        let outcomes: Vec<_> =
            opened.iter().map(|(name, opened)| (*name, opened.is_ok())).collect();
        assert_eq!(outcomes, [("first", false), ("second", true)]);
    }

    #[test]
    fn a_scheme_asks_that_backend_alone() {
        assert_eq!(refusal(&backends(refuse), "first:a.x"), "first:a.x: too modern");
        assert!(backends(refuse).open(&"second:a.x".parse().unwrap()).unwrap().declined.is_empty());
    }

    #[test]
    fn an_unknown_scheme_or_extension_lists_the_known_ones() {
        let backends = backends(refuse);
        assert_eq!(refusal(&backends, "a.pt"), "a.pt: found '.pt', expected one of .x, .y");
        assert!(refusal(&backends, "a").contains("a file without an extension"));
        assert!(refusal(&backends, "third:a.x").contains("'third'; there are first, second"));
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let error = refusal(&backends(refuse), "a.x?color=red");
        assert!(error.contains("a.x?color=red: unknown setting 'color'; there are"), "{error}");
    }

    #[test]
    fn stated_units_and_ranges_are_obeyed_for_every_backend() {
        let uri = "a.x?runtime_unit=ms&ram_unit=MiB&trained_min=0,1,0,0,0&trained_max=9,9,9,9,9";
        let opened = backends(open).open(&uri.parse().unwrap()).unwrap().models.remove(0);
        let info = opened.predictor.info();
        assert_eq!(info.units.to_string(), "ms, cores, MiB");
        assert_eq!(info.trained[1], crate::Range::new(1.0, 9.0));
        let mut session = opened.predictor.session().unwrap();
        let expected = RawPrediction::from_array([2e6, 3.0, 4.0 * 1_048_576.0]);
        assert_eq!(session.predict(&Features::IDLE).unwrap(), expected);
        let mut batch = [RawPrediction::default(); 2];
        session.predict_batch(&[Features::IDLE; 2], &mut batch).unwrap();
        assert_eq!(batch, [expected; 2]);
        let error = refusal(&backends(open), "second:a.x?runtime_unit=min");
        assert!(
            error.contains("runtime_unit: found 'min', expected one of ns, us, ms, s"),
            "{error}"
        );
    }

    #[test]
    fn a_backend_that_panics_declines() {
        let backends = backends(|_| panic!("corrupt"));
        assert_eq!(backends.open(&"a.x".parse().unwrap()).unwrap().declined.len(), 1);
        assert_eq!(refusal(&backends, "a.y"), "a.y: first panicked: corrupt");
    }
}
