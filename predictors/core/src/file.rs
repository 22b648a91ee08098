//! Reading files, with the refusals that are the same for every format.

use std::{fs, io::Read, path::Path};

use crate::{Error, Result};

/// Reads a whole file of at most `max_bytes`.
///
/// # Errors
///
/// `NotFound` when there is no such file; `Invalid` when it is a folder, empty, or larger than
/// `max_bytes` (then it is not read); `Unavailable` when the system refuses to read it.
pub fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    open(path, max_bytes).map_err(|error| error.at(path.display()))
}

fn open(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found("no such file"),
        _ => Error::unavailable("cannot read the file").with_source(error),
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::invalid("not a file, but one is expected"));
    }
    let too_large = |bytes: u64| {
        Error::invalid(format!("the file has {bytes} bytes, and at most {max_bytes} are read"))
    };
    if metadata.len() > max_bytes {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The file may grow while it is read.
    let limit = max_bytes.saturating_add(1);
    fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(failed)?;
    match bytes.len() as u64 {
        0 => Err(Error::invalid("the file is empty")),
        length if length > max_bytes => Err(too_large(length)),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn files_that_cannot_be_read_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.json");
        fs::write(&empty, "").unwrap();
        let large = folder.path().join("large.json");
        fs::write(&large, "12345").unwrap();

        let refusal = |path: &Path| read(path, 4).unwrap_err();
        assert_eq!(refusal(&folder.path().join("none.json")).kind(), ErrorKind::NotFound);
        for (path, expected) in [
            (folder.path(), "not a file"),
            (&empty, "the file is empty"),
            (&large, "has 5 bytes, and at most 4"),
        ] {
            let text = refusal(path).to_string();
            assert!(text.contains(expected) && text.contains(&*path.to_string_lossy()), "{text}");
        }
    }

    #[test]
    fn a_file_of_two_gigabytes_is_refused_without_being_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(2 << 30).unwrap();
        let error = read(file.path(), 1 << 20).unwrap_err().to_string();
        assert!(error.contains("2147483648 bytes"), "{error}");
    }
}
