//! Predictors in shared libraries: plugins, behind the same [`Backend`] as every other model.
//!
//! The contract with a plugin is the header `plugins/abi/include/hyperfake_plugin.h`.
//!
//! # Trust
//!
//! A plugin is native code that runs inside the worker with all the worker's rights. Opening a
//! library already runs code of it. Nothing here protects the worker from a plugin that means harm,
//! and a segmentation fault, an abort, or a C++ exception that leaves a function ends the worker.
//! What is done:
//!
//! - The program that uses this crate decides if this backend is part of it, and which files it
//!   opens.
//! - A library is refused when others than its owner may write to it or to its folder.
//!   [`check_strictly`] asks more, for libraries that were not named by the user.
//! - A library that does not export the plugin's symbol is refused before code of it runs.
//! - What runs is a sealed copy of the file, which is never unloaded: changing the file changes nothing.
//! - Its descriptor is checked before any function in it is called, and every answer is checked.
//! - A panic that the plugin caught puts it in quarantine: from then on each of its calls is an error
//!   of kind `Internal` with the plugin's name, and everything else goes on.
//!
//! # What has a limit
//!
//! Sizes have: a library 1 GiB, a configuration 1 MiB, a plugin's name 64 bytes, an error's text 1,023 bytes. Time has
//! none: a plugin that does not return holds its thread, at start-up the start.

mod config;
#[cfg(all(test, not(miri)))]
mod corpus;
mod descriptor;
mod elf;
mod error_buffer;
mod file;
mod instance;
mod library;
mod plugin;
mod sealed;
mod session;
mod symbols;
mod trust;

use std::sync::Arc;

use hyperfake_plugin_abi::Descriptor;
use hyperfake_predictor::{Backend, Error, Formats, ModelUri, Predictor, Result};

pub use self::{config::MAX_CONFIG_BYTES, file::MAX_LIBRARY_BYTES, trust::check_strictly};
use self::{plugin::Plugin, session::PluginPredictor};

/// The name under which both backends are known.
const NAME: &str = "plugin";

/// Opens shared libraries.
///
/// # Behavior
///
/// - The setting `config` names the file with the plugin's configuration, a JSON object. In the
///   model's URI the path is relative to the current folder or, if there is no such file, to the
///   library's folder; in the sidecar it is relative to the library's folder. Without it the
///   configuration is `{}`.
/// - Opening a model makes an instance of the plugin, so that a bad configuration is known at once.
/// - The same library can serve several models, each with a configuration of its own.
/// - A library that has changed on disk since it was opened is refused: what runs is still the old
///   one.
/// - Each session has an instance of its own, unless the plugin says that it is re-entrant.
#[derive(Debug, Default, Clone, Copy)]
pub struct PluginBackend;

impl Backend for PluginBackend {
    fn formats(&self) -> &'static Formats {
        &Formats { name: NAME, schemes: &[NAME], extensions: &["so", "dylib", "dll"] }
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let plugin = library::open(uri.path()).map_err(|error| error.at(uri.path().display()))?;
        open(plugin, uri)
    }
}

/// Opens models of a plugin that is part of this program, for tests: no library is opened.
///
/// The path of a model's URI says where `config` is looked for, and nothing else. There need not be
/// such a file.
#[derive(Debug)]
pub struct LinkedPlugin(Arc<Plugin>);

impl LinkedPlugin {
    /// Checks a descriptor as if it came from a library.
    ///
    /// # Safety
    ///
    /// The pointer is null, or what it points to keeps the contract in the header.
    ///
    /// # Errors
    ///
    /// As for a library with this descriptor.
    pub unsafe fn new(descriptor: *const Descriptor) -> Result<Self> {
        // SAFETY: the caller says so.
        let plugin = unsafe { Plugin::new(descriptor) }?;
        Ok(Self(Arc::new(plugin)))
    }
}

impl Backend for LinkedPlugin {
    fn formats(&self) -> &'static Formats {
        &Formats { name: NAME, schemes: &[NAME], extensions: &[] }
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        open(Arc::clone(&self.0), uri)
    }
}

fn open(plugin: Arc<Plugin>, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
    let predictor = match uri.name() {
        None => PluginPredictor::open(plugin, uri),
        Some(name) => {
            Err(Error::invalid(format!("a plugin is one model without a name, found '#{name}'")))
        }
    };
    Ok(Arc::new(predictor.map_err(|error| error.at(uri.path().display()))?))
}
