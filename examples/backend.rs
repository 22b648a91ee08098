//! A backend of your own: it opens files with the extension `.rule`, which hold a number of
//! nanoseconds for each byte of a request.
//!
//! ```console
//! $ cargo run --example backend
//! ```
//!
//! In this repository a backend is a crate in `predictors/` and two lines: its name in `Cargo.toml`
//! and its place in `src/backends.rs`.

use std::{error::Error as StdError, fs, sync::Arc};

use hyperfake_predictor::{
    Backend, Backends, Error, Feature, Features, Formats, ModelInfo, ModelUri, Predictor,
    RawPrediction, Result, Session, Units,
};

#[derive(Debug)]
struct RuleBackend;

impl Backend for RuleBackend {
    fn formats(&self) -> &'static Formats {
        &Formats { name: "rule", schemes: &["rule"], extensions: &["rule"] }
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let path = uri.path();
        let text = hyperfake_predictor::file::read(path, 1024)?;
        let text = String::from_utf8_lossy(&text);
        let ns_per_byte = text.trim().parse().map_err(|_| {
            let message = format!("found '{}', expected nanoseconds for each byte", text.trim());
            Error::invalid(message).at(path.display())
        })?;
        let info = ModelInfo {
            path: path.to_owned(),
            backend: self.formats().name,
            inputs: vec![Feature::RequestBytes],
            units: Units::NATIVE,
            trained: Vec::new(),
            deterministic: true,
            knows_distributions: false,
            settings: Default::default(),
        };
        Ok(Arc::new(Rule { info, ns_per_byte }))
    }
}

/// A model: shared by all threads, and never changed.
#[derive(Debug)]
struct Rule {
    info: ModelInfo,
    ns_per_byte: f64,
}

impl Predictor for Rule {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(RuleSession { ns_per_byte: self.ns_per_byte }))
    }
}

/// One thread's state. This model needs none.
struct RuleSession {
    ns_per_byte: f64,
}

impl Session for RuleSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        Ok(RawPrediction {
            runtime_ns: self.ns_per_byte * features.request_bytes,
            cpu_cores: 1.0,
            ram_bytes: 8e6,
        })
    }
}

fn main() -> std::result::Result<(), Box<dyn StdError>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("image.rule");
    fs::write(&path, "2.5\n")?;
    let backends = Backends::new([Arc::new(RuleBackend) as Arc<dyn Backend>]);
    let uri = path.display().to_string().parse()?;
    let loaded = backends.open(&uri)?;
    let mut session = loaded.models[0].predictor.session()?;
    let features = Features { request_bytes: 1000.0, ..Features::IDLE };
    let predicted = session.predict(&features)?;
    println!("a request of 1000 bytes runs for {} ns", predicted.runtime_ns);
    assert_eq!(predicted.runtime_ns, 2500.0);

    fs::write(&path, "fast")?;
    if let Err(refused) = backends.open(&uri) {
        println!("{refused}");
    }
    Ok(())
}
