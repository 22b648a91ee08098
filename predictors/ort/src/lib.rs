//! Predictors from ONNX and ORT files, run by [ONNX Runtime](https://onnxruntime.ai).
//!
//! ONNX Runtime is a shared library that is found when the first model needs it ([`find`] says
//! where it is looked for), so that a program without it has all other backends. It runs what no
//! backend in Rust runs, such as the trees of scikit-learn (`ai.onnx.ml` operators).
//!
//! [`hyperfake_predictor_onnx`] says which inputs, outputs and shapes a model may have.
//!
//! A call is one row. A model with a batch size of its own gets the row repeated, and its first
//! answer counts.
//!
//! Every session runs on the thread that asks it, without threads of its own. The model's file and
//! the files that hold its external data are read once.

mod format;
mod places;
mod plan;
mod ports;
mod probe;
mod runtime;
mod search;
mod session;
mod telemetry;
mod tensor;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use hyperfake_predictor::{
    Backend, Features, Formats, ModelInfo, ModelUri, Predictor, Result, Session, file,
};

pub use crate::{
    places::Place,
    search::{Found, LEAST_MINOR_VERSION, Search, Tried, find},
    telemetry::turn_off_telemetry,
};
use crate::{
    plan::{Model, Plan, failed, refused},
    session::OrtSession,
};

/// Larger files are refused: 1 GiB. A large forest has hundreds of megabytes.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// Opens `.ort` and `.onnx` files; chosen with `ort:`.
#[derive(Debug, Clone, Default)]
pub struct OrtBackend {
    library: Option<PathBuf>,
}

impl OrtBackend {
    /// A backend that looks for ONNX Runtime in `library` first: a file, or a folder that holds
    /// one. Nothing is looked for before a model is opened, and a process uses the first library
    /// that it finds for good.
    #[must_use]
    pub fn new(library: Option<PathBuf>) -> Self {
        Self { library }
    }

    fn load(&self, bytes: Vec<u8>, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        // What is wrong with the file is said without looking for a library.
        let model = Model::parse(bytes, uri)?;
        let environment = runtime::environment(self.library.as_deref())?;
        let (plan, info, session) = Plan::load(environment, model, uri, self.formats().name)?;
        let plan = Arc::new(plan);
        let mut first = OrtSession::new(Arc::clone(&plan), session)?;
        // As proof that the buffers fit.
        let mut numbers = vec![0.0; plan.signature.width()];
        first.run(&Features::IDLE, &mut numbers).map_err(refused)?;
        Ok(Arc::new(OrtPredictor { info, plan, first: Mutex::new(Some(first)) }))
    }
}

impl Backend for OrtBackend {
    fn formats(&self) -> &'static Formats {
        &Formats { name: "ort", schemes: &["ort"], extensions: &["ort", "onnx"] }
    }

    /// Most authors of models test them with ONNX Runtime.
    fn is_reference(&self) -> bool {
        true
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let path = uri.path();
        let bytes = file::read(path, MAX_FILE_BYTES)?;
        self.load(bytes, uri).map_err(|error| error.at(path.display()))
    }
}

#[derive(Debug)]
struct OrtPredictor {
    info: ModelInfo,
    plan: Arc<Plan>,
    /// The session of the trial run, for the first caller.
    first: Mutex<Option<OrtSession>>,
}

impl Predictor for OrtPredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let session = first.map_or_else(
            || {
                let session = self.plan.graph().map_err(failed)?;
                OrtSession::new(Arc::clone(&self.plan), session)
            },
            Ok,
        );
        session.map(OrtSession::boxed).map_err(|error| error.at(self.info.path.display()))
    }
}
