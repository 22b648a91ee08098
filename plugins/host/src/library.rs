//! Opens libraries, each once, and keeps them until the process ends.

use std::{
    error::Error as _,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hyperfake_plugin_abi::{Descriptor, EntryFn, SYMBOL};
use hyperfake_predictor::{Error, Result};
use libloading::Library;

use crate::{
    file::{self, Stamp},
    plugin::Plugin,
};

/// A library belongs to the process, so the list of them does too: opening a library again gives the
/// same plugin, with its quarantine.
static OPENED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

struct Opened {
    /// Canonical.
    path: PathBuf,
    stamp: Stamp,
    descriptor: usize,
    plugin: Arc<Plugin>,
}

/// The plugin in a file. Errors do not name the file.
pub(crate) fn open(path: &Path) -> Result<Arc<Plugin>> {
    let (path, stamp) = file::check(path)?;
    // Held while a library is opened: two threads must not make two plugins of one library.
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = opened.iter().find(|known| known.path == path) {
        if known.stamp == stamp {
            return Ok(Arc::clone(&known.plugin));
        }
        let message = "the file has changed since it was opened, and a library is never unloaded: \
                       start the worker again to use the new one";
        return Err(Error::conflict(message));
    }
    let descriptor = descriptor(&path)?;
    // The same file under another name is the same library.
    let known = opened.iter().find(|known| known.descriptor == descriptor.addr());
    let plugin = match known {
        Some(known) => Arc::clone(&known.plugin),
        // SAFETY: a library that exports the symbol is taken at its word; that is what trusting a
        // plugin means.
        None => Arc::new(unsafe { Plugin::new(descriptor) }?),
    };
    let (name, version) = (&plugin.descriptor.name, &plugin.descriptor.version);
    tracing::info!(plugin = %name, %version, library = %path.display(), "opened a plugin");
    opened.push(Opened { path, stamp, descriptor: descriptor.addr(), plugin: Arc::clone(&plugin) });
    Ok(plugin)
}

/// Opens a library for good and asks it for its descriptor.
fn descriptor(path: &Path) -> Result<*const Descriptor> {
    // SAFETY: runs the library's initialisers, see above. The file was found to be whole.
    let library = unsafe { load(path) }.map_err(|error| {
        let message = format!("cannot be opened as a library: {}", reason(&error, path));
        Error::invalid(message)
    })?;
    // Never unloaded, even if it is not a plugin: its threads and destructors may still run.
    let library = ManuallyDrop::new(library);
    // SAFETY: a symbol with this name has this type.
    let entry = unsafe { library.get::<EntryFn>(SYMBOL) }.map_err(|_| {
        let message = format!("not a plugin: the library exports no symbol '{SYMBOL}'");
        Error::invalid(message)
    })?;
    // SAFETY: by the contract it only returns a pointer.
    Ok(unsafe { entry() })
}

/// # Safety
///
/// The library's initialisers do no harm.
#[cfg(unix)]
unsafe fn load(path: &Path) -> Result<Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // At once, so that an unresolved symbol is an error here and not the end of a call; local, so
    // that two plugins do not see each other's symbols.
    // SAFETY: the caller says so.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

/// # Safety
///
/// The library's initialisers do no harm.
#[cfg(not(unix))]
unsafe fn load(path: &Path) -> Result<Library, libloading::Error> {
    // SAFETY: the caller says so.
    unsafe { Library::new(path) }
}

/// The loader's own words, without the path that most loaders put in front.
fn reason(error: &libloading::Error, path: &Path) -> String {
    let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let prefix = format!("{}: ", path.display());
    text.strip_prefix(&prefix).unwrap_or(&text).to_owned()
}
