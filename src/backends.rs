//! The predictors that this program has: the one file that names them.

use std::sync::Arc;

use hyperfake_predictor::{Backend, Backends};
use hyperfake_predictor_json::JsonBackend;
use hyperfake_predictor_tract::TractBackend;

/// All backends; those that claim the same extension are asked in this order.
#[must_use]
pub fn all() -> Backends {
    let backends: [Arc<dyn Backend>; 2] = [Arc::new(JsonBackend), Arc::new(TractBackend)];
    Backends::new(backends)
}
