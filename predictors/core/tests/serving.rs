//! Which of several backends serves a file: one that was seen to answer rightly.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::{collections::BTreeMap, sync::Arc};

use hyperfake_predictor::{
    Backend, Backends, Error, ErrorKind, Feature, Features, Formats, Loaded, ModelInfo, ModelUri,
    Predictor, RawPrediction, Result, Session, Settings, Units,
};

type Answer = fn(&Features) -> Result<RawPrediction>;

/// A backend that opens every file and gives these answers.
#[derive(Debug)]
struct Scripted {
    formats: &'static Formats,
    open: Result<Answer, ErrorKind>,
    is_reference: bool,
    agrees_with: Option<&'static str>,
}

#[derive(Debug)]
struct Model(ModelInfo, Answer, Option<&'static str>);

impl Backend for Scripted {
    fn formats(&self) -> &'static Formats {
        self.formats
    }

    fn is_reference(&self) -> bool {
        self.is_reference
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let answer = self.open.map_err(|kind| Error::new(kind, "not this one").at(uri))?;
        let info = ModelInfo {
            path: uri.path().to_owned(),
            backend: self.formats.name,
            inputs: Feature::ALL.to_vec(),
            units: Units::NATIVE,
            trained: Vec::new(),
            deterministic: true,
            knows_distributions: false,
            settings: Settings::read(uri, BTreeMap::new())?.into_map(),
        };
        Ok(Arc::new(Model(info, answer, self.agrees_with)))
    }
}

impl Predictor for Model {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn agrees_with(&self) -> Option<&'static str> {
        self.2
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        struct Answers(Answer);
        impl Session for Answers {
            fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
                (self.0)(features)
            }
        }
        Ok(Box::new(Answers(self.1)))
    }
}

const NAMES: [&Formats; 3] = [
    &Formats { name: "first", schemes: &["first"], extensions: &["x"] },
    &Formats { name: "second", schemes: &["second"], extensions: &["x"] },
    &Formats { name: "reference", schemes: &["reference"], extensions: &["x"] },
];

fn right(features: &Features) -> Result<RawPrediction> {
    Ok(RawPrediction::from_array([1e6 + features.request_bytes, 0.5, 8e6]))
}

/// Right for an idle worker alone.
fn endless_when_busy(features: &Features) -> Result<RawPrediction> {
    let mut answer = right(features)?;
    if features.active_calls > 100.0 {
        answer.runtime_ns = f64::INFINITY;
    }
    Ok(answer)
}

fn panics_when_busy(features: &Features) -> Result<RawPrediction> {
    assert!(features.active_calls <= 100.0, "index out of bounds");
    right(features)
}

fn fails(_: &Features) -> Result<RawPrediction> {
    Err(Error::internal("out of order"))
}

/// As an engine that does not read an attribute.
fn wrong_when_large(features: &Features) -> Result<RawPrediction> {
    let mut answer = right(features)?;
    answer.ram_bytes += features.worker_ram_bytes;
    Ok(answer)
}

/// `None` for a backend that is not there.
fn open(answers: [Option<Result<Answer, ErrorKind>>; 3]) -> Result<Loaded> {
    let backends = NAMES.into_iter().zip(answers).filter_map(|(formats, open)| {
        let is_reference = formats.name == "reference";
        Some(Arc::new(Scripted { formats, open: open?, is_reference, agrees_with: None })
            as Arc<dyn Backend>)
    });
    Backends::new(backends).open(&"a.x".parse().unwrap())
}

fn serving(loaded: &Loaded) -> &'static str {
    loaded.models[0].predictor.info().backend
}

fn reasons(loaded: &Loaded) -> Vec<String> {
    let line = |declined: &hyperfake_predictor::Declined| {
        format!("{}: {}", declined.backend, declined.error)
    };
    loaded.declined.iter().map(line).collect()
}

#[test]
fn an_engine_that_is_right_only_for_an_idle_worker_does_not_serve() {
    let loaded = open([Some(Ok(endless_when_busy)), Some(Ok(right)), None]).unwrap();
    assert_eq!(serving(&loaded), "second");
    let reasons = reasons(&loaded);
    assert!(
        reasons[0].starts_with("first: its runtime_ns is inf at request_bytes = "),
        "{reasons:?}"
    );
}

#[test]
fn an_engine_that_panics_at_a_typical_point_does_not_serve() {
    let loaded = open([Some(Ok(panics_when_busy)), Some(Ok(right)), None]).unwrap();
    assert_eq!(serving(&loaded), "second");
    let reasons = reasons(&loaded);
    assert!(reasons[0].starts_with("first: it fails at request_bytes = "), "{reasons:?}");
    assert!(reasons[0].ends_with("first panicked: index out of bounds"), "{reasons:?}");
}

#[test]
fn a_model_that_is_infinite_in_every_engine_is_served() {
    let both = open([Some(Ok(endless_when_busy)), Some(Ok(endless_when_busy)), None]).unwrap();
    assert_eq!((serving(&both), both.declined.len()), ("first", 2));
    let fault = both.fault.unwrap().to_string();
    assert!(fault.starts_with("its runtime_ns is inf at request_bytes = "), "{fault}");
    let alone = open([Some(Ok(endless_when_busy)), Some(Err(ErrorKind::Unsupported)), None]);
    assert_eq!(serving(&alone.unwrap()), "first");
}

#[test]
fn an_engine_that_always_fails_never_serves() {
    let error = open([Some(Ok(fails)), Some(Err(ErrorKind::Unsupported)), None]).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("a.x: no backend can serve it: first: it fails at "), "{error}");
    assert!(error.ends_with("second: not this one"), "{error}");
}

fn endless(_: &Features) -> Result<RawPrediction> {
    Ok(RawPrediction::from_array([f64::INFINITY, 0.5, 8e6]))
}

#[test]
fn a_model_that_is_finite_nowhere_is_refused() {
    let error = open([Some(Ok(endless)), Some(Ok(endless)), None]).unwrap_err().to_string();
    let expected = "a.x: no backend can serve it: first, second: its runtime_ns is inf at ";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn an_engine_that_answers_as_the_reference_does_serves() {
    let loaded = open([Some(Ok(right)), Some(Ok(right)), Some(Ok(right))]).unwrap();
    assert_eq!((serving(&loaded), loaded.agrees_with), ("first", Some("reference")));
    assert_eq!(loaded.declined.len(), 0);
}

#[test]
fn an_engine_that_answers_otherwise_than_the_reference_does_not_serve() {
    let loaded = open([Some(Ok(wrong_when_large)), Some(Ok(right)), Some(Ok(right))]).unwrap();
    assert_eq!((serving(&loaded), loaded.agrees_with), ("second", Some("reference")));
    let reasons = reasons(&loaded);
    let expected = "first: it answers ram_bytes = 5e7, reference 8e6, at request_bytes = 640, ";
    assert!(reasons[0].starts_with(expected), "{reasons:?}");
    let alone = open([Some(Ok(wrong_when_large)), None, Some(Ok(right))]).unwrap();
    assert_eq!(serving(&alone), "reference");
}

/// The reference is a large library: it is not loaded for a file on which two engines agree.
#[test]
fn an_engine_that_was_compared_already_is_not_compared_with_the_reference() {
    #[derive(Debug)]
    struct NeverAsked;
    impl Backend for NeverAsked {
        fn formats(&self) -> &'static Formats {
            NAMES[2]
        }
        fn is_reference(&self) -> bool {
            true
        }
        fn open(&self, _: &ModelUri) -> Result<Arc<dyn Predictor>> {
            unreachable!("the reference was asked")
        }
    }
    let first = Scripted {
        formats: NAMES[0],
        open: Ok(right),
        is_reference: false,
        agrees_with: Some("second"),
    };
    let backends: [Arc<dyn Backend>; 2] = [Arc::new(first), Arc::new(NeverAsked)];
    let loaded = Backends::new(backends).open(&"a.x".parse().unwrap()).unwrap();
    assert_eq!((serving(&loaded), loaded.agrees_with), ("first", Some("second")));
}

#[test]
fn without_a_reference_the_first_sound_engine_serves() {
    let loaded = open([Some(Ok(right)), None, Some(Err(ErrorKind::Unsupported))]).unwrap();
    assert_eq!((serving(&loaded), loaded.agrees_with), ("first", None));
}

#[test]
fn engines_that_contradict_each_other_do_not_serve_without_a_reference() {
    let error = open([Some(Err(ErrorKind::Conflict)), Some(Ok(right)), None]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let loaded = open([Some(Err(ErrorKind::Conflict)), Some(Ok(right)), Some(Ok(right))]);
    assert_eq!(serving(&loaded.unwrap()), "second");
}

#[test]
fn a_refusal_states_a_common_reason_and_the_file_once() {
    let declines = || Some(Err(ErrorKind::Unsupported));
    let error = open([declines(), declines(), declines()]).unwrap_err().to_string();
    assert_eq!(error, "a.x: no backend can serve it: first, second, reference: not this one");
}
