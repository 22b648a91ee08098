//! Which model answers for which image. Every model is opened once, at start-up.

mod extrapolation;
mod image;
mod layers;
mod load;
mod model;
mod response;
mod scan;

use std::{collections::HashMap, path::Path, sync::Arc};

use hyperfake_predictor::{Backends, Error, Loaded, ModelUri, Opened, Result};

pub use self::{
    extrapolation::Extrapolation,
    image::Image,
    layers::{Answer, Layers, ModelSession},
    load::load,
    model::Model,
    response::ResponseBody,
    scan::search,
};

/// The models of a worker, by image.
#[derive(Debug, Default)]
pub struct Catalog {
    /// What is done about inputs that a model was not trained on.
    extrapolation: Extrapolation,
    models: Vec<Arc<Model>>,
    by_image: HashMap<Image, Arc<Model>>,
}

/// A model as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub uri: ModelUri,
    /// The image; without one, the file's own or its stem.
    pub image: Option<Image>,
}

impl Catalog {
    /// A catalog without models.
    #[must_use]
    pub fn new(extrapolation: Extrapolation) -> Self {
        Self { extrapolation, ..Self::default() }
    }

    /// Opens a model and adds it, or all of them if the file holds several.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, and those of [`Catalog::add_loaded`].
    pub fn add(&mut self, source: &Source, backends: &Backends) -> Result<()> {
        self.add_loaded(source, backends.open(&source.uri)?)
    }

    /// Adds the models of a file that was opened.
    ///
    /// # Errors
    ///
    /// When a setting makes no sense, and `Conflict` when an image has a model already. Then nothing
    /// was added.
    pub fn add_loaded(&mut self, source: &Source, loaded: Loaded) -> Result<()> {
        let uri = &source.uri;
        if let (Some(other), Some(first)) = (loaded.agrees_with, loaded.models.first()) {
            let backend = first.predictor.info().backend;
            tracing::info!(model = %uri, backend, "answers as {other} does");
        }
        if let Some(fault) = &loaded.fault {
            tracing::warn!(model = %uri, %fault, "a model answers numbers that make no sense");
        }
        for declined in &loaded.declined {
            tracing::info!(model = %uri, backend = declined.backend, reason = %declined.error, "declined");
        }
        if source.image.is_some() && loaded.models.len() > 1 {
            let message = format!(
                "the file holds {} images, so it cannot be given the name of one; choose one of \
                 them with '#image'",
                loaded.models.len()
            );
            return Err(Error::invalid(message).at(uri));
        }
        let first_new = self.models.len();
        let added = loaded.models.into_iter().try_for_each(|opened| self.insert(source, opened));
        if added.is_err() {
            self.models.truncate(first_new);
            self.by_image.retain(|_, model| model.index < first_new);
        }
        added
    }

    /// The model for an image: the one for its tag, else the one for any tag.
    ///
    /// # Errors
    ///
    /// `NotFound`, with a list of the images that there are; `Invalid` for what is no image.
    pub fn resolve(&self, image: &str) -> Result<Arc<Model>> {
        let image: Image = image.parse()?;
        let found = image.candidates().find_map(|candidate| self.by_image.get(&candidate));
        found.cloned().ok_or_else(|| {
            let mut known: Vec<_> =
                self.models.iter().map(|model| model.image.to_string()).collect();
            known.sort();
            let more = known.len().saturating_sub(LISTED);
            known.truncate(LISTED);
            let mut known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            if more > 0 {
                known += &format!(" and {more} more");
            }
            let message =
                format!("no model is registered for the image '{image}'; available: {known}");
            Error::not_found(message)
        })
    }

    /// All models, in the order in which they were added.
    #[must_use]
    pub fn models(&self) -> &[Arc<Model>] {
        &self.models
    }

    fn insert(&mut self, source: &Source, opened: Opened) -> Result<()> {
        let uri = &source.uri;
        let image = match (&source.image, &opened.image) {
            (Some(given), _) => given.clone(),
            (None, Some(own)) => own.parse().map_err(|error: Error| error.at(uri))?,
            (None, None) => stem(uri.path()).parse().map_err(|error: Error| {
                let message = format!("{error}; name the file's image with -m PATH IMAGE");
                Error::new(error.kind(), message).at(uri)
            })?,
        };
        let image = image.without_digest();
        if let Some(other) = self.by_image.get(&image) {
            let other = other.predictor.info().path.display();
            let message = format!(
                "two models for the image '{image}': {other} and {}; name one of them with -m",
                uri.path().display()
            );
            return Err(Error::conflict(message));
        }
        let index = self.models.len();
        let model = Model::new(index, image.clone(), uri, opened.predictor, self.extrapolation);
        let model = Arc::new(model.map_err(|error| error.at(uri))?);
        self.models.push(Arc::clone(&model));
        self.by_image.insert(image, model);
        Ok(())
    }
}

/// The most images that an error lists: it has to fit into a header.
const LISTED: usize = 20;

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
