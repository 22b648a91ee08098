use std::{fmt, sync::Arc};

use hyperfake_predictor::{Features, Result};
use parking_lot::Mutex;

use crate::{
    catalog::{Answer, Catalog, Layers, Model, ModelSession},
    scenario::Draws,
};

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

    /// Asks a model of the catalog about a call: the one with this number among those of a function,
    /// whose random numbers `draws` are. A model that knows distributions draws it, any other one
    /// predicts it.
    ///
    /// # Errors
    ///
    /// What the model fails with.
    pub(super) fn ask(
        &self,
        model: &Model,
        features: &Features,
        layers: &Layers,
        draws: Draws,
        number: u64,
    ) -> Result<Answer> {
        let mut session = self.0[model.index].lock();
        match model.draws {
            false => session.predict(features, layers),
            true => session.draw(features, layers, &draws.uniforms(number)),
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}
