use std::{
    fmt,
    path::{Path, PathBuf},
};

use hyperfake_predictor::Error;

use crate::{
    places::{Place, Surroundings},
    probe::probe,
};

/// ONNX Runtime 1.x with at least this x is needed.
pub const LEAST_MINOR_VERSION: u32 = ort::MINOR_VERSION;

/// Looks for ONNX Runtime: in `library`, a file or a folder that holds one, and nowhere else if that
/// is given. The first that is not too old is found; a library that was looked at stays loaded.
#[must_use]
pub fn find(library: Option<&Path>) -> Search {
    Search::in_places_of(&Surroundings::of_process(library))
}

/// What came of looking for ONNX Runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// What did not serve, in the order in which it was tried.
    pub tried: Vec<Tried>,
    /// The library to use.
    pub found: Option<Found>,
}

/// A library that cannot serve, or a place that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Where.
    pub place: Place,
    /// The library, or the folder that has none.
    pub path: Option<PathBuf>,
    /// Why it cannot serve.
    pub reason: String,
}

/// A library that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub place: Place,
    /// Its file. For [`Place::System`] it is the name alone where the system does not give the path.
    pub path: PathBuf,
    /// What it says of itself, such as `1.32.0`.
    pub version: String,
}

impl Search {
    fn in_places_of(surroundings: &Surroundings) -> Self {
        let mut tried = Vec::new();
        for (place, libraries) in surroundings.places() {
            let libraries = libraries.unwrap_or_else(|miss| {
                tried.push(Tried { place, path: miss.path, reason: miss.reason });
                Vec::new()
            });
            for path in libraries {
                match probe(path.as_os_str()) {
                    Ok((file, version)) => {
                        // As the user named it; only the loader knows the file that it chose.
                        let path = match place {
                            Place::System => file.unwrap_or(path),
                            _ => path,
                        };
                        return Self { tried, found: Some(Found { place, path, version }) };
                    }
                    Err(reason) => tried.push(Tried { place, path: Some(path), reason }),
                }
            }
            if place == Place::Option && surroundings.option.is_some() {
                break;
            }
        }
        Self { tried, found: None }
    }

    /// The error of a model that needs what was not found.
    #[must_use]
    pub fn error(&self) -> Error {
        let tried: Vec<_> = self.tried.iter().map(ToString::to_string).collect();
        Error::unsupported(format!(
            "it needs ONNX Runtime 1.{LEAST_MINOR_VERSION} or newer, which was not found; \
                 `just ort` installs it. Tried: {}",
            tried.join("; ")
        ))
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{} ({}): {}", self.place, path.display(), self.reason),
            None => write!(f, "{}: {}", self.place, self.reason),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ONNX Runtime {} from {} ({})", self.version, self.place, self.path.display())
    }
}
