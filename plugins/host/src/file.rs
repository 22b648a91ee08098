//! What is asked of a library's file before it is opened.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use hyperfake_predictor::{Error, Result};

/// The largest library that is opened, in bytes: 1 GiB. It is held in memory while it is open.
pub const MAX_LIBRARY_BYTES: u64 = 1 << 30;

/// A library's file that may be opened.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Canonical.
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
    file: File,
}

/// By which a file is recognised, whatever its name, and a change of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stamp {
    /// The device and the inode, where there are such.
    identity: Option<(u64, u64)>,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Candidate {
    /// Opens the file and checks who may write to it. Errors do not name the file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let path = fs::canonicalize(path).map_err(unreadable)?;
        // Before it is opened: opening a pipe waits for its other end.
        if !fs::metadata(&path).map_err(unreadable)?.is_file() {
            return Err(Error::invalid("not a file, but a library is expected"));
        }
        let file = File::open(&path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let bytes = metadata.len();
        if bytes == 0 {
            return Err(Error::invalid("the file is empty"));
        }
        if bytes > MAX_LIBRARY_BYTES {
            return Err(Error::invalid(format!(
                "the file has {bytes} bytes, and a library may have at most {MAX_LIBRARY_BYTES}"
            )));
        }
        let exposed = exposed(&path, &metadata)?;
        if !exposed.is_empty() {
            let list = exposed.join(" ");
            return Err(Error::invalid(format!(
                "others than the owner may write to {list}, and a plugin runs with the worker's \
                 rights: run chmod go-w {list}"
            )));
        }
        let modified = metadata.modified().ok();
        Ok(Self { path, stamp: Stamp { identity: identity(&metadata), bytes, modified }, file })
    }

    /// The whole file.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.stamp.bytes as usize);
        // The file may grow or shrink while it is read.
        let read = (&self.file).take(self.stamp.bytes + 1).read_to_end(&mut bytes);
        read.map_err(unreadable)?;
        match bytes.len() as u64 == self.stamp.bytes {
            true => Ok(bytes),
            false => Err(Error::unavailable("the file changed while it was read: try again")),
        }
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// Which of the file and its folder, if any, others than the owner can change. On Windows, where
/// access is not a matter of nine bits, nothing is looked at.
#[cfg(unix)]
fn exposed(path: &Path, file: &Metadata) -> Result<Vec<String>> {
    use std::os::unix::fs::MetadataExt;

    use crate::trust::is_writable_by_others;

    /// In such a folder, like `/tmp`, only the owner of a file can replace it.
    const STICKY: u32 = 0o1000;

    let mut exposed = Vec::new();
    if let Some(folder) = path.parent() {
        let folder_metadata = fs::metadata(folder).map_err(unreadable)?;
        if is_writable_by_others(&folder_metadata) && folder_metadata.mode() & STICKY == 0 {
            exposed.push(format!("'{}'", folder.display()));
        }
    }
    if is_writable_by_others(file) {
        exposed.push(format!("'{}'", path.display()));
    }
    Ok(exposed)
}

#[cfg(not(unix))]
fn exposed(_: &Path, _: &Metadata) -> Result<Vec<String>> {
    Ok(Vec::new())
}

fn unreadable(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::not_found("no such file"),
        _ => Error::unavailable("cannot read the file").with_source(error),
    }
}
