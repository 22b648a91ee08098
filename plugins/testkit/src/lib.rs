//! Runs a plugin through the properties that every predictor has.
//!
//! For the tests of a plugin, as a development dependency. The properties are those of the worker's
//! own backends: the answers match a reference function that the test states, they are the same in every instance
//! and on every thread, a batch is answered as one by one, odd features do no harm; and for a plugin that
//! draws, each number follows its own uniform number, and the reference function is the mean of all draws.
//!
//! - [`conforms`] takes a predictor that the test program contains, written with the SDK. No library
//!   is built or opened, so it runs under a debugger, Miri or a coverage tool like any other code.
//! - [`library_conforms`] takes a library, written in any language, and opens it as the
//!   worker does. The properties about files are checked as well.
//!
//! ```
//! use hyperfake_plugin_sdk::{Features, Prediction, Predictor, Result, export_predictor};
//!
//! struct Constant;
//!
//! impl Predictor for Constant {
//!     fn create(_: &str) -> Result<Self> {
//!         Ok(Self)
//!     }
//!     fn predict(&self, _: &Features) -> Result<Prediction> {
//!         Ok(Prediction { runtime_ns: 7e6, cpu_cores: 0.5, ram_bytes: 8e6 })
//!     }
//! }
//!
//! export_predictor!(Constant);
//!
//! // In a function with `#[test]`:
//! hyperfake_plugin_testkit::conforms::<Constant>("{}", |_| Prediction {
//!     runtime_ns: 7e6,
//!     cpu_cores: 0.5,
//!     ram_bytes: 8e6,
//! });
//! ```
//!
//! A plugin whose answers are random is tested with its randomness turned off.

use std::{fs, path::Path};

use hyperfake_plugin_host::{LinkedPlugin, PluginBackend};
use hyperfake_plugin_sdk::{Exported, Features, Prediction};
use hyperfake_predictor::{Backend, ModelUri, RawPrediction};
use hyperfake_predictor_testkit::{Conformance, ReferenceModel};
use tempfile::TempDir;

/// How far an answer may be from the reference function, as a share of what is expected: room for another order of
/// the same sums.
const TOLERANCE: f64 = 1e-9;

/// Checks every property of the predictor that is not about a library's file.
///
/// `config` is the JSON object that the predictor is created with, `reference` what it has to answer.
///
/// # Panics
///
/// When a property is violated, with the name of each one that is and how it was violated.
pub fn conforms<P: Exported>(
    config: &str,
    reference: impl Fn(&Features) -> Prediction + Send + Sync + 'static,
) {
    // SAFETY: an implementation of `Exported` guarantees it.
    let backend = unsafe { LinkedPlugin::new(P::descriptor()) };
    let backend = backend.unwrap_or_else(|error| panic!("the plugin is refused: {error}"));
    run(backend, Path::new("linked"), config, reference, |conformance| {
        ABOUT_FILES.into_iter().fold(conformance, |conformance, property| {
            conformance.skip(property, "the plugin is part of the test program")
        })
    });
}

/// Checks every property of the library. Arguments and panics are those of [`conforms`].
pub fn library_conforms(
    library: &Path,
    config: &str,
    reference: impl Fn(&Features) -> Prediction + Send + Sync + 'static,
) {
    run(PluginBackend, library, config, reference, |conformance| conformance);
}

/// The properties that need a file.
const ABOUT_FILES: [&str; 4] = [
    "a_missing_file_is_an_error_that_names_it",
    "an_empty_file_is_an_error_that_names_it",
    "garbage_is_an_error_that_names_the_file",
    "a_folder_is_an_error_that_names_it",
];

/// The one body of both.
#[expect(clippy::expect_used, reason = "a test may panic")]
fn run(
    backend: impl Backend,
    path: &Path,
    config: &str,
    reference: impl Fn(&Features) -> Prediction + Send + Sync + 'static,
    skip: impl FnOnce(Conformance) -> Conformance,
) {
    let folder = TempDir::new().expect("a folder for the configuration");
    let config_path = folder.path().join("config.json");
    fs::write(&config_path, config).expect("a file for the configuration");
    let uri = format!("plugin:{}?config={}", path.display(), config_path.display());
    let uri: ModelUri = uri.parse().expect("a path without '?' and '#'");
    let reference = move |features: &hyperfake_predictor::Features| {
        let [request_bytes, function_instances, active_calls, worker_cpu_cores, worker_ram_bytes] =
            features.to_array();
        let prediction = reference(&Features {
            request_bytes,
            function_instances,
            active_calls,
            worker_cpu_cores,
            worker_ram_bytes,
        });
        RawPrediction {
            runtime_ns: prediction.runtime_ns,
            cpu_cores: prediction.cpu_cores,
            ram_bytes: prediction.ram_bytes,
        }
    };
    skip(Conformance::of(backend).model(ReferenceModel::new(uri, reference, TOLERANCE))).run();
}
