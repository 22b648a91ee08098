//! What a file, its sidecar and a URI say of a model is refused in one line, or it is obeyed.
//!
//! The input has three parts with lines of `---` between them: what stands behind the path in the
//! URI, the metadata of the file as lines `name=value`, and the sidecar.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use hyperfake_predictor::{
    Backend, Backends, ErrorKind, Feature, Features, Formats, ModelInfo, ModelUri, Predictor,
    RawPrediction, Result, Session, Settings, Units,
};

#[path = "scratch.rs"]
mod scratch;

const SEPARATOR: &str = "\n---\n";

/// In units that it does not state.
const RAW: [f64; 3] = [3.0, 5.0, 7.0];

pub(crate) fn check(bytes: &[u8]) {
    let (uri, rest) = cut(bytes);
    let (metadata, sidecar) = cut(rest);
    let path = scratch::write("model.fixed", b"a model");
    let sidecar_path = scratch::write("model.fixed.settings", sidecar);
    let Ok(uri) = str::from_utf8(uri) else { return };
    let Ok(uri) = format!("{}{uri}", path.display()).parse::<ModelUri>() else { return };
    // A longer path would be another file's.
    if uri.path() != path {
        return;
    }
    let metadata: BTreeMap<String, String> = String::from_utf8_lossy(metadata)
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let settings = match Settings::read(&uri, metadata.clone()) {
        Ok(settings) => settings,
        Err(error) => {
            one_line(&error);
            assert!(error.to_string().starts_with(&*sidecar_path.to_string_lossy()), "{error}");
            return;
        }
    };
    precedence(&settings, &uri, &metadata, sidecar);
    for inputs in [0, 1, 2, 3, 4, 5, 6, 1000, usize::MAX] {
        columns(&settings, inputs);
    }
    serve(&settings, &uri, &metadata);
}

fn cut(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mark = SEPARATOR.as_bytes();
    match bytes.windows(mark.len()).position(|window| window == mark) {
        Some(at) => (&bytes[..at], &bytes[at + mark.len()..]),
        None => (bytes, &[]),
    }
}

/// The URI counts first, then the sidecar, then the file.
fn precedence(
    settings: &Settings,
    uri: &ModelUri,
    metadata: &BTreeMap<String, String>,
    sidecar: &[u8],
) {
    for (name, value) in uri.parameters() {
        assert_eq!(settings.get(name), Some(value.as_str()));
    }
    for (name, value) in settings.clone().into_map() {
        let elsewhere =
            uri.parameters().get(&name) == Some(&value) || metadata.get(&name) == Some(&value) || {
                assert!(Settings::NAMES.contains(&name.as_str()), "{name} of a sidecar");
                let sidecar = str::from_utf8(sidecar).unwrap();
                sidecar.contains(&name) && sidecar.contains(&value)
            };
        assert!(elsewhere, "{name} = {value} stands nowhere");
    }
    for name in metadata.keys() {
        assert!(settings.get(name).is_some());
    }
}

/// For a model of so many inputs.
fn columns(settings: &Settings, inputs: usize) {
    match settings.features(inputs) {
        Ok(features) => {
            assert_eq!(features.len(), inputs);
            for (index, feature) in features.iter().enumerate() {
                assert!(!features[..index].contains(feature));
            }
        }
        Err(error) => one_line(&error),
    }
    match settings.trained(inputs) {
        Ok(None) => assert_eq!(settings.get("trained_min"), None),
        Ok(Some(ranges)) => {
            assert_eq!(ranges.len(), inputs);
            for range in ranges.into_iter().flatten() {
                assert!(range.low() <= range.high() && range.contains(range.low()));
                for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e300] {
                    assert!(range.contains(range.clamp(value)), "{range} {value}");
                }
            }
        }
        Err(error) => one_line(&error),
    }
}

/// Opens a model with these settings, as a worker does.
fn serve(settings: &Settings, uri: &ModelUri, metadata: &BTreeMap<String, String>) {
    let backends = Backends::new([Arc::new(Fixed(metadata.clone())) as Arc<dyn Backend>]);
    let opened = match backends.open(uri) {
        Ok(mut loaded) => loaded.models.remove(0).predictor,
        Err(error) => {
            one_line(&error);
            assert!(!error.to_string().contains("panicked"), "{error}");
            return;
        }
    };
    let settings_map = settings.clone().into_map();
    assert!(settings_map.keys().all(|name| Settings::NAMES.contains(&name.as_str())));
    assert_eq!(opened.info().settings, settings_map);
    let factor = |name: &str| match settings.get(name) {
        None | Some("ns" | "cores" | "bytes") => 1.0,
        Some("us" | "kB") => 1e3,
        Some("ms" | "MB") => 1e6,
        Some("s" | "GB") => 1e9,
        Some("millicores") => 1.0 / 1000.0,
        Some("percent") => 1.0 / 100.0,
        Some("KiB") => 1024.0,
        Some("MiB") => 1024.0 * 1024.0,
        Some("GiB") => 1024.0 * 1024.0 * 1024.0,
        Some(other) => panic!("opened with {name} {other}"),
    };
    let answer = opened.session().unwrap().predict(&Features::IDLE).unwrap().to_array();
    let factors = ["runtime_unit", "cpu_unit", "ram_unit"].map(factor);
    for (found, expected) in answer.into_iter().zip(RAW.iter().zip(factors)) {
        let expected = expected.0 * expected.1;
        assert!((found - expected).abs() <= 1e-12 * expected, "{found} {expected}");
    }
}

fn one_line(error: &hyperfake_predictor::Error) {
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text:?}");
    assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported), "{error:?}");
}

/// A model of five inputs in a file that says this much of itself.
#[derive(Debug)]
struct Fixed(BTreeMap<String, String>);

impl Backend for Fixed {
    fn formats(&self) -> &'static Formats {
        &Formats { name: "fixed", schemes: &["fixed"], extensions: &["fixed"] }
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let settings = Settings::read(uri, self.0.clone())?;
        Ok(Arc::new(FixedPredictor(ModelInfo {
            path: Path::new("model.fixed").to_owned(),
            backend: "fixed",
            inputs: settings.features(Feature::ALL.len())?,
            units: Units::NATIVE,
            trained: Vec::new(),
            deterministic: true,
            knows_distributions: false,
            settings: settings.into_map(),
        })))
    }
}

#[derive(Debug)]
struct FixedPredictor(ModelInfo);

impl Predictor for FixedPredictor {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(FixedSession))
    }
}

struct FixedSession;

impl Session for FixedSession {
    fn predict(&mut self, _: &Features) -> Result<RawPrediction> {
        Ok(RawPrediction::from_array(RAW))
    }
}
