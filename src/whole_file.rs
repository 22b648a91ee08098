//! Files that are written as a whole or not at all.

use std::{
    fs::{self, File, Metadata},
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
};

use hyperfake_predictor::{Error, Result};
use tempfile::{Builder, NamedTempFile};

/// Writes a file: under another name in its folder first, which then takes the place of what is there, with the same
/// owner and permissions. What is no file, such as `/dev/stdout`, is written to directly, and so is a file whose
/// folder takes no new one, whose owner cannot be kept, or that cannot be replaced since it is mounted.
///
/// # Errors
///
/// When it cannot be written, with its path; unless it is written to directly, what was there is there still.
pub fn write(path: &Path, content: impl Fn(&mut BufWriter<&File>) -> io::Result<()>) -> Result<()> {
    written(path, content).map_err(|error| {
        Error::unavailable("cannot write the file").with_source(error).at(path.display())
    })
}

/// The same of bytes that are there already.
///
/// # Errors
///
/// Those of [`write()`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, |file| file.write_all(bytes))
}

fn written(
    path: &Path,
    content: impl Fn(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let write_to = |file: &File| {
        let mut file = BufWriter::new(file);
        content(&mut file)?;
        file.flush()
    };
    let found = fs::metadata(path).ok();
    // A stream may be a file that others write to as well.
    let is_stream = path.starts_with("/dev") || path.starts_with("/proc");
    if is_stream || found.as_ref().is_some_and(|found| !found.is_file()) {
        return write_to(&File::create(path)?);
    }
    if found.is_some() {
        // What may not be written to may not be replaced.
        File::options().write(true).open(path)?;
    }
    let path = &behind_links(path);
    let Some(new) = beside(path, found.as_ref())? else { return write_to(&File::create(path)?) };
    write_to(new.as_file())?;
    let Err(error) = new.persist(path) else { return Ok(()) };
    match error.error.kind() {
        ErrorKind::ResourceBusy | ErrorKind::PermissionDenied | ErrorKind::CrossesDevices => {
            // Its room may be needed.
            drop(error.file);
            write_to(&File::create(path)?)
        }
        _ => Err(error.error),
    }
}

/// A new file in the same folder, which is removed unless it is kept; nothing if there can be none.
fn beside(path: &Path, found: Option<&Metadata>) -> io::Result<Option<NamedTempFile>> {
    let mut builder = Builder::new();
    // As of any new file, without what the umask takes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let new = builder.prefix(".").suffix(".new").tempfile_in(folder.unwrap_or(Path::new(".")));
    let new = match new {
        Ok(new) => new,
        Err(error) => {
            return match error.kind() {
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Ok(None),
                _ => Err(error),
            };
        }
    };
    if let Some(found) = found {
        if !has_owner_of(new.as_file(), found) {
            return Ok(None);
        }
        new.as_file().set_permissions(found.permissions())?;
    }
    Ok(Some(new))
}

/// Whether the new file has the owner and the group of the one that was found; where it may, it gets them.
#[cfg(unix)]
fn has_owner_of(new: &File, found: &Metadata) -> bool {
    use std::os::unix::fs::{MetadataExt, fchown};

    let is_same = |new: Metadata| (new.uid(), new.gid()) == (found.uid(), found.gid());
    new.metadata().is_ok_and(is_same) || fchown(new, Some(found.uid()), Some(found.gid())).is_ok()
}

#[cfg(not(unix))]
fn has_owner_of(_new: &File, _found: &Metadata) -> bool {
    true
}

/// What a link leads to, also where nothing is there yet.
fn behind_links(path: &Path) -> PathBuf {
    /// As many as the system follows.
    const MOST: usize = 40;
    if let Ok(behind) = fs::canonicalize(path) {
        return behind;
    }
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let Ok(link) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(link);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_whole_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_bytes(&path, b"first").unwrap();
        let error = write(&path, |file| {
            file.write_all(b"half of the sec")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        write_bytes(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one_and_a_device_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_bytes(&link, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write_bytes(Path::new("/dev/null"), b"nothing").unwrap();
        // What a link leads to need not be there.
        fs::remove_file(&file).unwrap();
        let links = folder.path().join("links");
        std::os::unix::fs::symlink("link", &links).unwrap();
        write_bytes(&links, b"again").unwrap();
        for link in [&link, &links] {
            assert!(fs::symlink_metadata(link).unwrap().is_symlink());
        }
        assert_eq!(fs::read(&file).unwrap(), b"again");
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[cfg(unix)]
    #[test]
    fn permissions_stay_and_those_of_a_new_file_are_the_usual_ones() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (private, new) = (folder.path().join("private"), folder.path().join("new"));
        fs::write(&private, "old").unwrap();
        fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
        write_bytes(&private, b"new").unwrap();
        assert_eq!((mode(&private), fs::read(&private).unwrap()), (0o600, b"new".to_vec()));
        let usual = folder.path().join("usual");
        fs::write(&usual, "").unwrap();
        write_bytes(&new, b"new").unwrap();
        assert_eq!(mode(&new), mode(&usual));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_stream_that_is_a_file_goes_on_where_it_is() {
        use std::{io::Read, os::fd::AsRawFd};

        let mut file = tempfile::tempfile().unwrap();
        let stream = format!("/proc/self/fd/{}", file.as_raw_fd());
        write_bytes(Path::new(&stream), b"new").unwrap();
        let mut found = String::new();
        file.read_to_string(&mut found).unwrap();
        assert_eq!(found, "new");
    }

    #[cfg(unix)]
    #[test]
    fn the_owner_stays_where_that_can_be_seen() {
        use std::os::unix::fs::{MetadataExt, chown};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        // Only root may give a file to another user.
        if chown(&path, Some(1234), Some(5678)).is_err() {
            return println!("skipped: this user cannot give files away");
        }
        write_bytes(&path, b"new").unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), (1234, 5678));
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn files_that_are_written_at_the_same_time_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let texts = [vec![b'a'; 100_000], vec![b'b'; 200_000]];
        std::thread::scope(|scope| {
            for text in &texts {
                let path = &path;
                scope.spawn(move || (0..50).for_each(|_| write_bytes(path, text).unwrap()));
            }
        });
        assert!(texts.contains(&fs::read(&path).unwrap()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
