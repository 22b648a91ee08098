//! Opens libraries, each once, and keeps them until the process ends.

use std::{
    error::Error as _,
    io::Cursor,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
    ptr,
    sync::{Arc, Mutex, PoisonError},
};

use hyperfake_plugin_abi::{Descriptor, EntryFn, SYMBOL};
use hyperfake_predictor::{Error, Result};
use libloading::Library;

use crate::{
    elf,
    file::{Candidate, Stamp},
    plugin::Plugin,
    sealed::Copy,
    symbols,
};

/// A library belongs to the process, so the list of them does too: opening a library again gives the
/// same plugin, with its quarantine.
static OPENED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

struct Opened {
    /// Canonical.
    path: PathBuf,
    stamp: Stamp,
    /// Where its descriptor is.
    descriptor: usize,
    /// Nothing when the descriptor was refused.
    plugin: Option<Arc<Plugin>>,
}

/// The plugin in a file. Errors do not name the file.
pub(crate) fn open(path: &Path) -> Result<Arc<Plugin>> {
    let candidate = Candidate::open(path)?;
    let stamp = candidate.stamp;
    // Held while a library is opened: two threads must not make two plugins of one library.
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if opened.iter().any(|known| known.path == candidate.path && known.stamp != stamp) {
        let message = "the file has changed since it was opened, and a library is never unloaded: \
                       start the worker again to use the new one";
        return Err(Error::conflict(message));
    }
    // The same file under another name is the same library.
    let place = match opened.iter().position(|known| known.stamp == stamp) {
        Some(place) => place,
        None => {
            let descriptor = descriptor(&candidate)?.expose_provenance();
            opened.push(Opened { path: candidate.path, stamp, descriptor, plugin: None });
            opened.len() - 1
        }
    };
    let known = &mut opened[place];
    if let Some(plugin) = &known.plugin {
        return Ok(Arc::clone(plugin));
    }
    let descriptor = ptr::with_exposed_provenance(known.descriptor);
    // SAFETY: a library that exports the symbol is taken at its word; that is what trusting a plugin
    // means.
    let plugin = Arc::new(unsafe { Plugin::new(descriptor) }?);
    let (name, version) = (&plugin.descriptor.name, &plugin.descriptor.version);
    tracing::info!(plugin = %name, %version, library = %known.path.display(), "opened a plugin");
    known.plugin = Some(Arc::clone(&plugin));
    Ok(plugin)
}

/// Opens a library for good and asks it for its descriptor. What runs is a copy of the file.
fn descriptor(candidate: &Candidate) -> Result<*const Descriptor> {
    let bytes = candidate.read()?;
    check(&bytes)?;
    let name = candidate.path.file_name().unwrap_or_default().to_string_lossy();
    let copy = Copy::new(&bytes, &name)
        .map_err(|error| Error::unavailable("cannot copy the library").with_source(error))?;
    drop(bytes);
    let path = copy.path();
    // SAFETY: runs the library's initialisers, see above. The file was found to be whole.
    let library = unsafe { load(&path) }.map_err(|error| {
        let message = format!("cannot be opened as a library: {}", reason(&error, &path));
        Error::invalid(message)
    })?;
    copy.keep();
    // Never unloaded, even if it is not a plugin: its threads and destructors may still run.
    let library = ManuallyDrop::new(library);
    // SAFETY: a symbol with this name has this type.
    let entry = unsafe { library.get::<EntryFn>(SYMBOL) }.map_err(|_| no_plugin())?;
    // SAFETY: by the contract it only returns a pointer.
    Ok(unsafe { entry() })
}

/// Checks that a file is a whole library that exports the symbol. Elsewhere than where libraries are
/// ELF, the system's loader checks what it is given.
fn check(bytes: &[u8]) -> Result<()> {
    if cfg!(not(all(unix, not(target_vendor = "apple")))) {
        return Ok(());
    }
    elf::check(&mut Cursor::new(bytes), bytes.len() as u64)?;
    // One of another kind of machine is left to the loader, which has a message for it.
    match !elf::is_native(bytes) || symbols::exports(bytes, SYMBOL).map_err(damaged)? {
        true => Ok(()),
        false => Err(no_plugin()),
    }
}

fn no_plugin() -> Error {
    Error::invalid(format!("not a plugin: the library exports no symbol '{SYMBOL}'"))
}

fn damaged(error: ::elf::ParseError) -> Error {
    Error::invalid("its symbols cannot be read").with_source(error)
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
