//! Predictors from ONNX files, run by [tract](https://github.com/sonos/tract).
//!
//! Any model serves that has
//!
//! - one input, `float` or `double`, of the shape `[1,5]`, `[N,5]` or `[?,5]`: the features in the
//!   order of [`Feature::ALL`](hyperfake_predictor::Feature::ALL), in bytes, calls and cores. With
//!   fewer columns, or in another order, the setting `features` names them
//!   ([`Settings`](hyperfake_predictor::Settings));
//! - an output with three numbers for each row, `float` or `double`, of the shape `[1,3]`, `[N,3]`
//!   or `[3]`: nanoseconds, cores, bytes. Of several outputs it is the one called `output`;
//! - operators, with attributes, element types and opsets, that tract is known to compute as ONNX
//!   defines them ([`operators`]). A `Gemm` with a bias in double precision is not among them.
//!
//! Anything else is refused when the file is opened, with what was found and what was expected.
//!
//! A call is one row. A model with a batch size of its own is run with a batch of one; where its
//! graph insists on the size, the row is repeated and the first answer taken.
//!
//! Features are given to a `float` model in single precision: whole numbers are exact up to 2^24,
//! above that to one part in 16 million.
//!
//! The initializers `input_mean` and `input_scale`, which training leaves in a file, say which
//! range of inputs the model was trained on
//! ([`Range::around`](hyperfake_predictor::Range::around)).
//!
//! Metadata whose key begins with `hyperfake.` becomes a setting of the model: the pair
//! `hyperfake.response` and `echo` is the setting `response=echo`.
//!
//! # Dense networks
//!
//! Most predictors are a short chain of dense layers, on which a general runtime spends far more
//! time than their multiplications need. [`DenseBackend`] takes those, and leaves all others to
//! [`TractBackend`].

mod dense;
mod graph;
mod lower;
mod operators;
mod plan;
mod proof;
mod session;
mod source;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use hyperfake_predictor::{
    Backend, Error, ErrorKind, Formats, ModelInfo, ModelUri, Predictor, Result, Session,
};

pub use crate::{dense::DenseBackend, operators::operators};
use crate::{plan::Plan, session::TractSession, source::Source};

/// Larger files are refused, and so is larger external data: 256 MiB, far more than a
/// model of five inputs and three outputs needs.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Opens `.onnx` files; chosen with `tract:`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TractBackend;

impl Backend for TractBackend {
    fn formats(&self) -> &'static Formats {
        &Formats { name: "tract", schemes: &["tract"], extensions: &["onnx"] }
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let bytes = Source::bytes(uri)?;
        let load = || {
            let source = Source::read(uri, &bytes)?;
            let plan = Plan::load(&source)?;
            Ok(TractPredictor { info: source.info(self.formats().name), plan })
        };
        let predictor = without_panic(ErrorKind::Invalid, load)
            .map_err(|error| error.at(uri.path().display()))?;
        Ok(Arc::new(predictor))
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
            .map(|session| Box::new(session) as Box<dyn Session>)
            .map_err(|error| error.at(self.info.path.display()))
    }
}

/// tract indexes without a check here and there, and so panics on some files that contradict
/// themselves and on some inputs. To this software that is an error as any other.
fn without_panic<T>(kind: ErrorKind, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("it did not say why");
        Err(Error::new(kind, format!("tract panicked: {text}")))
    })
}
