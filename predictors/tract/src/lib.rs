//! Predictors from ONNX files, run by [tract](https://github.com/sonos/tract).
//!
//! [`hyperfake_predictor_onnx`] says which inputs, outputs and shapes a model may have. Its operators
//! are those, with attributes, element types and opsets, that tract is known to compute as ONNX
//! defines them ([`operators`]); anything else is refused when the
//! file is opened, with what was found and what was expected.
//!
//! A call is one row. A model with a batch size of its own is run with a batch of one; where its
//! graph insists on the size, the row is repeated and the first answer taken.
//!
//! The initializers `input_mean` and `input_scale`, which training leaves in a file, say which
//! range of inputs the model was trained on
//! ([`Range::around`](hyperfake_predictor::Range::around)).
//!
//! # Dense networks
//!
//! Most predictors are a short chain of dense layers, on which a general runtime spends far more
//! time than their multiplications need. [`DenseBackend`] takes those, and leaves all others to
//! [`TractBackend`].
//!
//! # Decision trees
//!
//! tract does not know the operators of random forests and gradient boosting. [`TreesBackend`]
//! takes those.

mod dense;
mod lower;
mod open;
mod operators;
mod plan;
mod scaler;
mod session;
mod trees;
mod verify;

use std::sync::Arc;

use hyperfake_predictor::{
    Backend, ErrorKind, Formats, ModelInfo, ModelUri, Predictor, Result, Session, guarded,
};
use hyperfake_predictor_onnx::OnnxFile;

pub use crate::{dense::DenseBackend, operators::operators, trees::TreesBackend};
use crate::{plan::Plan, session::TractSession};

/// Larger files are refused: 256 MiB, far more than a model of five inputs and three outputs needs.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Opens `.onnx` files; chosen with `tract:`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TractBackend;

impl Backend for TractBackend {
    fn formats(&self) -> &'static Formats {
        &Formats { name: "tract", schemes: &["tract"], extensions: &["onnx"] }
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let file = read(uri)?;
        let plan = without_panic(ErrorKind::Invalid, || open::open(&file))
            .map_err(|error| error.at(uri.path().display()))?;
        Ok(Arc::new(TractPredictor { info: file.info(self.formats().name), plan }))
    }
}

#[derive(Debug)]
struct TractPredictor {
    info: ModelInfo,
    plan: Arc<Plan>,
}

impl Predictor for TractPredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        TractSession::new(Arc::clone(&self.plan))
            .map(TractSession::boxed)
            .map_err(|error| error.at(self.info.path.display()))
    }
}

/// Reads a file as all backends of this crate do.
fn read(uri: &ModelUri) -> Result<OnnxFile> {
    let mut file = OnnxFile::read(uri, MAX_FILE_BYTES)?;
    scaler::expand(&mut file.model);
    Ok(file)
}

/// tract indexes without a check here and there, and so panics on some files that contradict
/// themselves and on some inputs. To this software that is an error as any other.
fn without_panic<T>(kind: ErrorKind, work: impl FnOnce() -> Result<T>) -> Result<T> {
    guarded(kind, "tract", work)
}
