use std::{fmt, sync::Arc};

use hyperfake_predictor::{Features, Result, Uniforms};
use parking_lot::Mutex;

use crate::catalog::{Answer, Catalog, Layers, Model, ModelSession};

/// One thread's model sessions, for all workers that it runs.
pub struct Sessions(
    /// One for each model of the catalog. The locks are this thread's own; they only prove to the
    /// compiler that it is one thread.
    Box<[Mutex<ModelSession>]>,
);

impl Sessions {
    /// For the models of this catalog.
    #[must_use]
    pub fn of(catalog: &Catalog) -> Arc<Self> {
        let sessions = catalog.models().iter().map(|model| Mutex::new(ModelSession::new(model)));
        Arc::new(Self(sessions.collect()))
    }

    /// Asks a model of the catalog. `uniforms` is where a call lies in the distributions of a model that
    /// knows some.
    ///
    /// # Errors
    ///
    /// What the model fails with.
    pub(super) fn predict(
        &self,
        model: &Model,
        features: &Features,
        layers: &Layers,
        uniforms: impl FnOnce() -> Uniforms,
    ) -> Result<Answer> {
        self.0[model.index].lock().predict(features, layers, uniforms)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}
