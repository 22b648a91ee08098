//! Models written as JSON: lookup tables, quantiles, linear models and constants.
//!
//! `{"kind": "constant", "runtime_ns": 7000000, "cpu_cores": 0.5, "ram_bytes": 8000000}` is a
//! whole model file. The format, its rules and its limits are described in the crate's
//! `README.md`, and for editors in `schema/model.schema.json`.
//!
//! ```no_run
//! use hyperfake_predictor::{Backend, Features};
//! use hyperfake_predictor_json::JsonBackend;
//!
//! let model = JsonBackend.open(&"models/echo.json".parse()?)?;
//! let prediction = model.session()?.predict(&Features::IDLE)?;
//! println!("an idle worker runs it in {} ns", prediction.runtime_ns);
//! # Ok::<(), hyperfake_predictor::Error>(())
//! ```

mod document;
mod grid;
mod linear;
mod model;
mod points;
mod quantiles;
mod rows;
mod served;
mod table;

use std::{fmt, path::Path, sync::Arc};

use hyperfake_predictor::{
    Backend, Error, Features, Formats, ModelInfo, ModelUri, Opened, Predictor, RawPrediction,
    Result, Session, Settings, Uniforms, file,
};

use crate::{
    document::Problem,
    model::{Entry, Model},
    quantiles::Quantiles,
    served::Served,
};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// Images that an error lists before it only counts the rest.
const LISTED_IMAGES: usize = 20;

/// Opens `.json` model files.
///
/// # Behavior
///
/// - A file holds one model, or a map from image to model; `#image` in the URI picks one.
/// - The whole file is checked, also when one model of it is asked for.
/// - An error names the path of the field, or the line of what is not JSON.
#[derive(Debug, Default, Clone, Copy)]
pub struct JsonBackend;

impl Backend for JsonBackend {
    fn formats(&self) -> &'static Formats {
        &Formats { name: "json", schemes: &["json"], extensions: &["json"] }
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let entries = entries(uri)?;
        let images = images(&entries);
        let mut entries = entries.into_iter();
        match (entries.next(), entries.next()) {
            (Some(entry), None) => Ok(Arc::new(JsonPredictor::new(uri, entry)?)),
            _ => Err(Error::invalid(format!(
                "the file holds several models, pick one with '#image': {images}"
            ))
            .at(uri.path().display())),
        }
    }

    fn open_all(&self, uri: &ModelUri) -> Result<Vec<Opened>> {
        let opened = entries(uri)?.into_iter().map(|mut entry| {
            Ok(Opened {
                image: entry.image.take(),
                predictor: Arc::new(JsonPredictor::new(uri, entry)?),
            })
        });
        opened.collect()
    }
}

/// A model that was read from JSON.
struct JsonPredictor {
    info: ModelInfo,
    served: Served,
}

impl JsonPredictor {
    fn new(uri: &ModelUri, entry: Entry) -> Result<Self> {
        let settings = Settings::read(uri, entry.settings)?;
        let features = "a JSON model names its inputs itself, in its field 'features'";
        let quantiles = "a JSON model states its levels itself, in its field 'levels'";
        settings
            .refuse("features", features)
            .and_then(|()| settings.refuse("quantiles", quantiles))
            .map_err(|error| error.at(uri))?;
        let trained = entry.served.trained(&entry.inputs);
        let info = ModelInfo {
            path: uri.path().to_owned(),
            backend: "json",
            inputs: entry.inputs,
            units: entry.units,
            trained,
            deterministic: true,
            knows_distributions: matches!(entry.served, Served::Quantiles(_)),
            settings: settings.into_map(),
        };
        Ok(Self { info, served: entry.served })
    }
}

impl Predictor for JsonPredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let session: Box<dyn Session> = match &self.served {
            Served::Point(model) => Box::new(JsonSession(Arc::clone(model))),
            Served::Quantiles(model) => Box::new(QuantilesSession(Arc::clone(model))),
        };
        Ok(session)
    }
}

/// Without the model's numbers: there may be millions.
impl fmt::Debug for JsonPredictor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonPredictor").field("info", &self.info).finish_non_exhaustive()
    }
}

/// A session shares the model, which needs no buffers.
struct JsonSession(Arc<Model>);

impl Session for JsonSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        Ok(RawPrediction::from_array(self.0.predict(&features.to_array())))
    }
}

/// The same for a model that knows distributions.
struct QuantilesSession(Arc<Quantiles>);

impl Session for QuantilesSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        Ok(self.0.predict(&features.to_array()))
    }

    fn draw(&mut self, features: &Features, uniforms: &Uniforms) -> Result<RawPrediction> {
        Ok(self.0.draw(&features.to_array(), uniforms))
    }
}

/// The models of a file, or the one that the URI names.
fn entries(uri: &ModelUri) -> Result<Vec<Entry>> {
    let mut entries = read(uri.path())?;
    let Some(name) = uri.name() else { return Ok(entries) };
    match entries.iter().position(|entry| entry.image.as_deref() == Some(name)) {
        Some(index) => Ok(vec![entries.swap_remove(index)]),
        None => {
            let images = images(&entries);
            let message = format!("the file has no model of image '{name}', it holds {images}");
            Err(Error::not_found(message).at(uri.path().display()))
        }
    }
}

fn read(path: &Path) -> Result<Vec<Entry>> {
    let bytes = file::read(path, MAX_FILE_BYTES)?;
    document::text(&bytes).and_then(model::read).map_err(|Problem { place, message }| {
        let error = Error::invalid(message);
        let error = if place.is_empty() { error } else { error.at(place) };
        error.at(path.display())
    })
}

/// The images in a file, as an error lists them.
fn images(entries: &[Entry]) -> String {
    let names: Vec<_> = entries
        .iter()
        .take(LISTED_IMAGES)
        .map(|entry| entry.image.as_deref().unwrap_or("one model that names no image"))
        .collect();
    let names = names.join(", ");
    match entries.len().saturating_sub(LISTED_IMAGES) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use hyperfake_predictor::Levels;

    use crate::{MAX_FILE_BYTES, document, points};

    #[test]
    fn the_readme_states_the_limits() {
        let readme = include_str!("../README.md");
        for (limit, stated, text) in [
            (MAX_FILE_BYTES as usize, 64 << 20, "64 MiB for a file"),
            (document::MAX_FIELDS, 10_000, "10,000 images in a map"),
            (document::MAX_ITEMS, 1_000_000, "1,000,000 rows in a table"),
            (points::MAX_ROWS, 50_000, "`linear`, 50,000 in others"),
            (Levels::MAX, 1000, "1000 levels"),
        ] {
            assert_eq!(limit, stated);
            assert!(readme.contains(text), "{text}");
        }
    }
}
