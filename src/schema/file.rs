use std::{fs, path::Path};

use hyperfake_predictor::{Error, ErrorKind, Result};

/// The most bytes that a `.proto` file, a descriptor set or a file of answers may have.
const MAX_FILE: u64 = 4 << 20;

/// The bytes of a file of at most 4 MiB.
///
/// # Errors
///
/// When it cannot be read, or has more bytes; the error names it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, "cannot read the file").with_source(error).at(path.display())
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::invalid("found something that is not a file").at(path.display()));
    }
    if metadata.len() > MAX_FILE {
        let message = format!("the file has {} bytes, expected at most {MAX_FILE}", metadata.len());
        return Err(Error::invalid(message).at(path.display()));
    }
    fs::read(path).map_err(failed)
}
