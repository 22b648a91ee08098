//! Plugins seen from the worker's side.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![cfg_attr(miri, allow(dead_code, reason = "Miri opens no libraries"))]

mod answers;
#[cfg(not(miri))]
mod broken;
mod draws;
#[cfg(not(miri))]
mod examples;
mod linked;
#[cfg(not(miri))]
mod opening;

use std::{path::Path, sync::Arc};

use hyperfake_plugin_host::PluginBackend;
use hyperfake_predictor::{Backend, ErrorKind, Features, ModelUri, Predictor};

/// Opens a library as it is.
fn open(path: &Path) -> Arc<dyn Predictor> {
    PluginBackend.open(&ModelUri::from_path(path)).unwrap()
}

/// Why it is not opened. The error has to begin with the path, which is left out here.
fn refusal(uri: &ModelUri) -> (ErrorKind, String) {
    let error = PluginBackend.open(uri).unwrap_err();
    (error.kind(), without_path(uri.path(), &error))
}

fn without_path(path: &Path, error: &hyperfake_predictor::Error) -> String {
    let text = error.to_string();
    text.strip_prefix(&format!("{}: ", path.display())).expect(&text).to_owned()
}

fn busy(active_calls: f64) -> Features {
    Features { active_calls, ..Features::IDLE }
}
