//! Who can change a library.

use std::{fs, io, path::Path};

use hyperfake_predictor::{Error, Result};

/// An error unless only root and the user of this process can change the file or folder, or put
/// another in its place: neither it nor any folder above it belongs to another user or can be written
/// to by group or others. That is what OpenSSH's `StrictModes` asks of a user's keys, with one
/// difference: a home folder is not the last that is looked at. A sticky folder like `/tmp` is no
/// exception, because others can add files there.
///
/// On Windows, where access is not a matter of nine bits, nothing is looked at.
///
/// # Errors
///
/// The first place that others can change, and why; or what cannot be looked at.
pub fn check_strictly(path: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::unavailable("cannot be looked at").with_source(error);
    let path = fs::canonicalize(path).map_err(|error| failed(error).at(path.display()))?;
    for place in path.ancestors() {
        let metadata = fs::metadata(place).map_err(|error| failed(error).at(place.display()))?;
        if let Some(reason) = exposure(&metadata) {
            let place = place.display();
            return Err(Error::invalid(format!("'{place}' {reason}")));
        }
    }
    Ok(())
}

/// Whether group or others may write.
#[cfg(unix)]
pub(crate) fn is_writable_by_others(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
    metadata.mode() & GROUP_OR_OTHERS_WRITE != 0
}

#[cfg(unix)]
fn exposure(metadata: &fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != 0 && owner != user {
        return Some(format!("belongs to user {owner}, expected root or user {user}"));
    }
    let mode = metadata.mode() & 0o7777;
    is_writable_by_others(metadata).then(|| {
        format!("has mode {mode:04o}, so that others can write to it: expected no more than 0755")
    })
}

#[cfg(not(unix))]
fn exposure(_: &fs::Metadata) -> Option<String> {
    None
}
