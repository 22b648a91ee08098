//! The network in every form that a worker can serve.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use hyperfake_plugin_fixtures::{self as fixtures, Library};
use hyperfake_predictor::{Backends, ModelUri, Predictor};
use hyperfake_predictor_testkit::reference::Network;
use hyperfake_worker::backends::{self, Choice};
use tempfile::TempDir;

use crate::network::{self, FILE};

/// A model that the worker can be given.
pub(crate) struct Form {
    /// Who runs it.
    pub(crate) backend: &'static str,
    /// What it is.
    pub(crate) model: &'static str,
    /// As on the command line.
    pub(crate) uri: String,
    /// Why it cannot be measured here.
    pub(crate) skipped: Option<String>,
}

/// The forms, and the files that were made for them.
pub(crate) struct Forms {
    pub(crate) all: Vec<Form>,
    pub(crate) onnx_runtime: Option<PathBuf>,
    folder: TempDir,
    _plugins: [Library; 2],
}

impl Forms {
    pub(crate) fn of(network: &Network, ort_library: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tensors = folder.path().join("echo.safetensors");
        fs::write(&tensors, network.to_safetensors()).unwrap();
        let config = folder.path().join("echo.json");
        let numbers = serde_json::json!({ "numbers": network::in_order(network) });
        fs::write(&config, numbers.to_string()).unwrap();
        let plugins = [fixtures::network_in_rust(), fixtures::network_in_c()];
        let [rust, c] = plugins
            .each_ref()
            .map(|library| format!("{}?config={}", library.path().display(), config.display()));

        let onnx_runtime = onnx_runtime(ort_library);
        let form = |backend, model, uri| Form { backend, model, uri, skipped: None };
        let all = vec![
            form("dense", "`.onnx`", format!("dense:{FILE}")),
            form("tract", "`.onnx`", format!("tract:{FILE}")),
            Form {
                skipped: onnx_runtime.as_ref().err().cloned(),
                ..form("ort", "`.onnx`", format!("ort:{FILE}"))
            },
            form("candle", "`.safetensors`", tensors.display().to_string()),
            form("json", "`.json`, a table", "models/tables/hyperfaas-echo.json".to_owned()),
            form("plugin", "`.so` in Rust", rust),
            form("plugin", "`.so` in C", c),
        ];
        Self { all, onnx_runtime: onnx_runtime.ok(), folder, _plugins: plugins }
    }

    /// For files; it is removed at the end.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn backends(&self) -> Backends {
        all_backends(self.onnx_runtime.clone())
    }
}

/// As the worker has them.
pub(crate) fn all_backends(ort_library: Option<PathBuf>) -> Backends {
    backends::all(&Choice { ort_library, ..Choice::default() })
}

/// As the worker opens it.
pub(crate) fn open(backends: &Backends, uri: &str) -> Arc<dyn Predictor> {
    let uri: ModelUri = uri.parse().unwrap();
    backends.open(&uri).unwrap().models.remove(0).predictor
}

/// Where it is for the worker, or where `just ort` puts it: that is beside this program's folder, a
/// folder further up than beside the worker's.
fn onnx_runtime(named: Option<&Path>) -> Result<PathBuf, String> {
    let beside_worker = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("lib");
    let found = backends::find_onnx_runtime(named)
        .or_else(|_| backends::find_onnx_runtime(Some(&beside_worker)));
    match found {
        Ok((library, _)) => Ok(library),
        Err(_) => Err("there is no ONNX Runtime, `just ort` puts one in place".to_owned()),
    }
}
