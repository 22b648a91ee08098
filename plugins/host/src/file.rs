//! What is asked of a library's file before it is opened.

use std::{
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use hyperfake_predictor::{Error, Result};

use crate::elf;

/// Size and modification time, by which a change of the file is recognised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// The canonical path of a library that may be opened. Errors do not name the file.
pub(crate) fn check(path: &Path) -> Result<(PathBuf, Stamp)> {
    let path = fs::canonicalize(path).map_err(unreadable)?;
    let metadata = fs::metadata(&path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::invalid("not a file, but a library is expected"));
    }
    if metadata.len() == 0 {
        return Err(Error::invalid("the file is empty"));
    }
    let exposed = exposed(&path, &metadata)?;
    if !exposed.is_empty() {
        let list = exposed.join(" ");
        return Err(Error::invalid(format!(
            "others than the owner may write to {list}, and a plugin runs with the worker's \
             rights: run chmod go-w {list}"
        )));
    }
    let mut file = File::open(&path).map_err(unreadable)?;
    // Elsewhere the system's loader checks what it is given.
    if cfg!(all(unix, not(target_vendor = "apple"))) {
        elf::check(&mut file, metadata.len())?;
    }
    let modified = metadata.modified().ok();
    Ok((path, Stamp { bytes: metadata.len(), modified }))
}

/// Which of the file and its folder, if any, others than the owner can change. On Windows, where
/// access is not a matter of nine bits, nothing is looked at.
#[cfg(unix)]
fn exposed(path: &Path, file: &Metadata) -> Result<Vec<String>> {
    use std::os::unix::fs::MetadataExt;

    const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
    /// In such a folder, like `/tmp`, only the owner of a file can replace it.
    const STICKY: u32 = 0o1000;

    let mut exposed = Vec::new();
    if let Some(folder) = path.parent() {
        let mode = fs::metadata(folder).map_err(unreadable)?.mode();
        if mode & GROUP_OR_OTHERS_WRITE != 0 && mode & STICKY == 0 {
            exposed.push(format!("'{}'", folder.display()));
        }
    }
    if file.mode() & GROUP_OR_OTHERS_WRITE != 0 {
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
