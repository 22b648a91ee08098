use std::sync::Arc;

use hyperfake_predictor::{Backend, Predictor, Result};
pub(crate) use hyperfake_predictor_testkit::File;
use hyperfake_predictor_tract::TractBackend;

/// A file as tract opens it.
pub(crate) trait Tract {
    fn open(&self) -> Result<Arc<dyn Predictor>>;
    fn refusal(&self) -> String;
}

impl Tract for File {
    fn open(&self) -> Result<Arc<dyn Predictor>> {
        TractBackend.open(&self.uri())
    }

    fn refusal(&self) -> String {
        self.refusal_by(&TractBackend)
    }
}
