//! Which model answers for which image. Every model is opened once, at start-up.

mod extrapolation;
mod image;
mod response;

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hyperfake_predictor::{
    Backends, Checked, Error, ErrorKind, Feature, ModelUri, Opened, Predictor, Result, Session,
};
use parking_lot::Mutex;

use self::extrapolation::Outside;
pub use self::{extrapolation::Extrapolation, image::Image, response::Response};
use crate::duration;

/// The models of a worker, by image.
#[derive(Debug, Default)]
pub struct Catalog {
    /// What is done about inputs that a model was not trained on.
    extrapolation: Extrapolation,
    models: Vec<Arc<Model>>,
    by_image: HashMap<Image, Arc<Model>>,
}

/// A model and the image that it stands for.
#[derive(Debug)]
pub struct Model {
    /// Its place in [`Catalog::models`].
    pub index: usize,
    /// The image.
    pub image: Image,
    /// What predicts, for those who look at it. Calls ask a [`Model::session`].
    pub predictor: Arc<dyn Predictor>,
    /// The same, with its trained range watched.
    guarded: Arc<dyn Predictor>,
    /// The answers' bodies, if the model says.
    pub response: Option<Response>,
    /// The cold start of its instances, if the model says.
    pub cold_start: Option<Duration>,
    faults: Faults,
    outside: Option<Arc<Outside>>,
    /// When inputs outside the trained range were last reported, and what was said.
    outside_reported: Mutex<Option<(Instant, String)>>,
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
    /// When the file cannot be opened, when a setting in it makes no sense, and `Conflict` when
    /// an image has a model already. Then nothing was added.
    pub fn add(&mut self, source: &Source, backends: &Backends) -> Result<()> {
        let uri = &source.uri;
        let loaded = backends.open(uri)?;
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
            let message = format!("no model stands for the image '{image}'; there are {known}");
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
        let served = Served::by(&*opened.predictor).map_err(|error| error.at(uri))?;
        let predictor = opened.predictor;
        let (guarded, outside) = extrapolation::watch(Arc::clone(&predictor), self.extrapolation);
        let model = Arc::new(Model {
            index: self.models.len(),
            image: image.clone(),
            predictor,
            guarded,
            response: served.response,
            cold_start: served.cold_start,
            faults: Faults::default(),
            outside,
            outside_reported: Mutex::default(),
        });
        self.models.push(Arc::clone(&model));
        self.by_image.insert(image, model);
        Ok(())
    }
}

/// The most images that an error lists: it has to fit into a header.
const LISTED: usize = 20;

/// The model files of a folder: every file with one of these extensions, in the order of their
/// names. Hidden files are none, such as the `._echo.onnx` that macOS leaves beside `echo.onnx`;
/// folders inside it are not searched.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn search(folder: &Path, extensions: &BTreeSet<&str>) -> Result<Vec<Source>> {
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, "cannot search the folder for models")
            .with_source(error)
            .at(folder.display())
    };
    let mut files = Vec::<PathBuf>::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = ModelUri::from_path(&path).extension().unwrap_or_default();
        let is_hidden =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && extensions.contains(extension.as_str()) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files
        .into_iter()
        .map(|path| Source { uri: ModelUri::from_path(path), image: None })
        .collect())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a model says about how it is served.
struct Served {
    response: Option<Response>,
    cold_start: Option<Duration>,
}

impl Served {
    fn by(predictor: &dyn Predictor) -> Result<Self> {
        let setting = |name: &str| predictor.info().settings.get(name);
        let invalid = |name, message| Error::invalid(message).at(name);
        let response = setting("response").map(|text| text.parse());
        let cold_start = setting("cold_start")
            .map(|text| duration::parse(text).map_err(|error| format!("found '{text}', {error}")));
        Ok(Self {
            response: response.transpose().map_err(|message| invalid("response", message))?,
            cold_start: cold_start.transpose().map_err(|message| invalid("cold_start", message))?,
        })
    }
}

/// Predictions of a model that broke the rule of [`Limits`](hyperfake_predictor::Limits).
#[derive(Debug, Default)]
struct Faults {
    total: AtomicU64,
    /// When they were last reported, and how many there were by then.
    reported: Mutex<Option<(Instant, u64)>>,
}

impl Model {
    /// One thread's state for the calls of this model. Inputs outside the trained range are
    /// counted and, if that was asked for, brought inside.
    ///
    /// # Errors
    ///
    /// As [`Predictor::session`].
    pub fn session(&self) -> Result<Box<dyn Session>> {
        self.guarded.session()
    }

    /// Counts a prediction that had to be corrected, and says so at most once a minute.
    pub fn report(&self, checked: &Checked, now: Instant) {
        let total = self.faults.total.fetch_add(1, Ordering::Relaxed) + 1;
        let mut reported = self.faults.reported.lock();
        let before = match *reported {
            Some((last, _)) if now < last + Duration::from_secs(60) => return,
            Some((_, before)) => before,
            None => 0,
        };
        *reported = Some((now, total));
        drop(reported);
        let faults: Vec<_> =
            checked.corrections().map(|(output, fault)| format!("{output} {fault}")).collect();
        tracing::warn!(
            image = %self.image,
            count = total - before,
            latest = faults.join(", "),
            "predictions out of bounds were corrected"
        );
    }

    /// How many predictions had to be corrected so far.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.total.load(Ordering::Relaxed)
    }

    /// How often each feature was outside the range that the model was trained on.
    #[must_use]
    pub fn outside(&self) -> Vec<(Feature, u64)> {
        let counts = self.outside.iter().flat_map(|outside| outside.counts());
        counts.map(|(feature, _, count)| (feature, count)).collect()
    }

    /// Says so, at most once a minute and only when there were more since.
    pub fn report_outside(&self, now: Instant) {
        let Some(outside) = &self.outside else { return };
        let counts: Vec<_> = outside
            .counts()
            .map(|(feature, range, count)| format!("{feature} {count} x outside {range}"))
            .collect();
        let text = counts.join(", ");
        let mut reported = self.outside_reported.lock();
        let due = match &*reported {
            None => !text.is_empty(),
            Some((last, said)) => *said != text && now >= *last + Duration::from_secs(60),
        };
        if due {
            tracing::warn!(
                image = %self.image,
                inputs = text,
                "asked for what the model was not trained on"
            );
            *reported = Some((now, text));
        }
    }
}
