//! The predictors that this program has: the one file that names them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::ValueEnum;
use hyperfake_plugin_host::PluginBackend;
use hyperfake_predictor::{Backend, Backends, Error, Formats, ModelUri, Opened, Predictor, Result};
use hyperfake_predictor_candle::CandleBackend;
use hyperfake_predictor_json::JsonBackend;
use hyperfake_predictor_ort::OrtBackend;
use hyperfake_predictor_tract::{DenseBackend, TractBackend, TreesBackend};

/// What the user decides about the backends.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Who opens `.onnx` files that name no backend.
    pub onnx_engine: OnnxEngine,
    /// Where ONNX Runtime's library is.
    pub ort_library: Option<PathBuf>,
}

/// Who opens `.onnx` files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OnnxEngine {
    /// The first that can of dense, trees, tract and ort.
    #[default]
    Auto,
    /// The kernel for plain feed-forward networks.
    Dense,
    /// The kernel for decision trees.
    Trees,
    /// tract.
    Tract,
    /// ONNX Runtime.
    Ort,
}

/// All backends; those that claim the same extension are asked in this order.
#[must_use]
pub fn all(choice: &Choice) -> Backends {
    let onnx = |engine| choice.onnx_engine == OnnxEngine::Auto || choice.onnx_engine == engine;
    let backends: [Arc<dyn Backend>; _] = [
        Arc::new(JsonBackend),
        claiming(onnx(OnnxEngine::Dense), DenseBackend, &DENSE_BY_NAME),
        claiming(onnx(OnnxEngine::Trees), TreesBackend, &TREES_BY_NAME),
        claiming(onnx(OnnxEngine::Tract), TractBackend, &TRACT_BY_NAME),
        claiming(
            onnx(OnnxEngine::Ort),
            OrtBackend::new(choice.ort_library.clone()),
            &ORT_WITHOUT_ONNX,
        ),
        Arc::new(CandleBackend),
        Arc::new(PluginBackend),
    ];
    Backends::new(backends)
}

/// The extensions of plugins: libraries that run with this program's rights.
pub const PLUGIN_EXTENSIONS: [&str; 3] = ["so", "dylib", "dll"];

/// Whether a model is a plugin, by its extension.
#[must_use]
pub fn is_plugin(uri: &ModelUri) -> bool {
    uri.extension().is_some_and(|found| PLUGIN_EXTENSIONS.contains(&found.as_str()))
}

/// Checks that only root and this user can add files to the folder or change the libraries that it
/// offers as plugins: the user did not name them. Without plugins in it, any folder will do.
///
/// # Errors
///
/// What others can change.
pub fn check_plugins<'a>(
    offered: impl Iterator<Item = &'a ModelUri>,
    folder: &'a Path,
) -> Result<()> {
    let mut plugins = offered.filter(|uri| is_plugin(uri)).peekable();
    if plugins.peek().is_none() {
        return Ok(());
    }
    // A link in the folder leads to a library elsewhere.
    let mut places = [folder].into_iter().chain(plugins.map(ModelUri::path));
    places.try_for_each(hyperfake_plugin_host::check_strictly).map_err(|error| {
        let message = format!(
            "no plugin of this folder is loaded, because others could add theirs: {error}; change \
             that, or name each library with -m instead of --allow-plugins"
        );
        Error::new(error.kind(), message).at(folder.display())
    })
}

const DENSE_BY_NAME: Formats = Formats { name: "dense", schemes: &["dense"], extensions: &[] };
const TREES_BY_NAME: Formats = Formats { name: "trees", schemes: &["trees"], extensions: &[] };
const TRACT_BY_NAME: Formats = Formats { name: "tract", schemes: &["tract"], extensions: &[] };
const ORT_WITHOUT_ONNX: Formats = Formats { name: "ort", schemes: &["ort"], extensions: &["ort"] };

/// The vector instructions that the dense kernel uses on this machine.
#[must_use]
pub fn vector_instructions() -> &'static str {
    hyperfake_predictor_dense::Isa::detect().name()
}

/// Keeps ONNX Runtime from reporting on its user. Call it first, while there is one thread.
pub fn turn_off_telemetry() {
    let _ = hyperfake_predictor_ort::turn_off_telemetry();
}

/// Finds ONNX Runtime: its library and version, or what was tried and why it failed.
///
/// # Errors
///
/// The places that were tried, each with the reason.
pub fn find_onnx_runtime(library: Option<&Path>) -> Result<(PathBuf, String), Vec<String>> {
    let search = hyperfake_predictor_ort::find(library);
    match search.found {
        Some(found) => Ok((found.path, found.version)),
        None => Err(search.tried.iter().map(ToString::to_string).collect()),
    }
}

/// The backend as it is, or claiming less than it could.
fn claiming(all: bool, backend: impl Backend, less: &'static Formats) -> Arc<dyn Backend> {
    if all { Arc::new(backend) } else { Arc::new(Claiming { backend, formats: less }) }
}

#[derive(Debug)]
struct Claiming<B> {
    backend: B,
    formats: &'static Formats,
}

impl<B: Backend> Backend for Claiming<B> {
    fn formats(&self) -> &'static Formats {
        self.formats
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        self.backend.open(uri)
    }

    fn open_all(&self, uri: &ModelUri) -> Result<Vec<Opened>> {
        self.backend.open_all(uri)
    }
}
