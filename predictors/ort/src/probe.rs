//! Asks a library which ONNX Runtime it is before the `ort` crate gets it, which waits for ever or
//! panics when it gets one that is too old (docs/adr/0031-a-library-is-asked-before-it-is-used.md).
#![allow(unsafe_code, reason = "a library can only be asked through its C functions")]

use std::{
    error::Error as _,
    ffi::{CStr, OsStr, c_void},
    mem,
    path::PathBuf,
};

use libloading::Library;
use ort::sys::{ORT_API_VERSION, OrtApiBase};

/// The one function that ONNX Runtime exports for its C API.
type ApiBase = unsafe extern "C" fn() -> *const OrtApiBase;

/// Opens a library for good and asks it for its version and for the C API of
/// [`ORT_API_VERSION`]. Returns its version, and the path of its file if the system gives it;
/// `library` may be a name that the system's loader resolves.
///
/// # Errors
///
/// Why it cannot serve, to be read by a person.
pub(crate) fn probe(library: &OsStr) -> Result<(Option<PathBuf>, String), String> {
    let opened = open(library).map_err(|error| reason(&error, library))?;
    // SAFETY: a library that exports this name is an ONNX Runtime, whose C header declares the
    // function with this type.
    let base = unsafe { opened.get::<ApiBase>(c"OrtGetApiBase") }.map(|symbol| *symbol);
    // Never unloaded: it may have threads, and destructors that expect the process to end.
    mem::forget(opened);
    let base: ApiBase =
        base.map_err(|_| "not an ONNX Runtime: it has no OrtGetApiBase".to_owned())?;
    let path = file_of(base as *const c_void);
    // SAFETY: the function takes nothing and returns a pointer to a static structure, or null.
    let Some(api) = (unsafe { base().as_ref() }) else {
        return Err("not an ONNX Runtime: OrtGetApiBase returns nothing".to_owned());
    };
    // SAFETY: the function takes nothing and returns a static string, or null.
    let version = unsafe { (api.GetVersionString)() };
    if version.is_null() {
        return Err("not an ONNX Runtime: it has no version".to_owned());
    }
    // SAFETY: it is not null, ends with a zero byte and is never freed.
    let version = unsafe { CStr::from_ptr(version) }.to_string_lossy().into_owned();
    if minor(&version).is_none_or(|minor| minor < ORT_API_VERSION) {
        return Err(format!("version {version}, expected 1.{ORT_API_VERSION} or newer"));
    }
    // SAFETY: any version number may be asked for; null is the answer to one that is not known.
    if unsafe { (api.GetApi)(ORT_API_VERSION) }.is_null() {
        return Err(format!("version {version} does not offer the API of 1.{ORT_API_VERSION}"));
    }
    Ok((path, version))
}

#[cfg(unix)]
fn open(library: &OsStr) -> Result<Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: loading runs the library's initialisers. The user put it where it was found, to be
    // run by this process.
    unsafe { Library::open(Some(library), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

#[cfg(not(unix))]
fn open(library: &OsStr) -> Result<Library, libloading::Error> {
    // SAFETY: as above.
    unsafe { Library::new(library) }
}

/// What the loader says, without the library's name at the start.
fn reason(error: &libloading::Error, library: &OsStr) -> String {
    let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let name = format!("{}: ", library.to_string_lossy());
    text.strip_prefix(&name).map(str::to_owned).unwrap_or(text)
}

/// The file from which a function was loaded.
#[cfg(unix)]
fn file_of(function: *const c_void) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut info = mem::MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: dladdr takes any address and writes the structure unless it returns 0.
    if unsafe { libc::dladdr(function, info.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: it was written.
    let name = unsafe { info.assume_init() }.dli_fname;
    if name.is_null() {
        return None;
    }
    // SAFETY: the name ends with a zero byte and lives as long as the library, which is for ever.
    let name = unsafe { CStr::from_ptr(name) };
    std::fs::canonicalize(OsStr::from_bytes(name.to_bytes())).ok()
}

#[cfg(not(unix))]
fn file_of(_: *const c_void) -> Option<PathBuf> {
    None
}

/// The second number of a version whose first is 1.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_whatever_follows_the_second_number() {
        for (version, expected) in [
            ("1.32.0", Some(32)),
            ("1.17", Some(17)),
            ("1.20-dev", Some(20)),
            ("2.1.0", None),
            ("1", None),
            ("1.x", None),
            ("", None),
        ] {
            assert_eq!(minor(version), expected, "{version}");
        }
    }
}
