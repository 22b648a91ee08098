//! A copy of a library that cannot be changed.
//!
//! The loader maps a library's file. Who cuts that file short later ends the process: the next access to
//! a page that is gone is a bus error. So what is mapped is a copy that is sealed, or at least private.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A copy at a path that the loader can open.
#[derive(Debug)]
pub(crate) enum Copy {
    /// Sealed memory: nothing can write to it, not even this process.
    #[cfg(target_os = "linux")]
    Sealed(std::fs::File),
    /// A temporary file that only this user can write to. It has no name any more when this is dropped.
    Private(tempfile::TempPath),
}

impl Copy {
    /// Copies a library; the name is shown in the process's memory map.
    pub(crate) fn new(library: &[u8], name: &str) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        match sealed(library, name) {
            Ok(file) if Path::new(DESCRIPTORS).exists() => return Ok(Self::Sealed(file)),
            Ok(_) => tracing::debug!("without {DESCRIPTORS}, a plugin is copied to a file"),
            Err(error) => tracing::debug!(%error, "without a memfd, a plugin is copied to a file"),
        }
        private(library, name)
    }

    /// Where the loader finds it, while this lives.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            #[cfg(target_os = "linux")]
            Self::Sealed(file) => {
                use std::os::fd::AsRawFd;
                Path::new(DESCRIPTORS).join(file.as_raw_fd().to_string())
            }
            Self::Private(path) => path.to_path_buf(),
        }
    }

    /// Call this when the loader has it. The loader knows a library by its path, so the descriptor of
    /// sealed memory stays open: its number must not become another library's.
    pub(crate) fn keep(self) {
        #[cfg(target_os = "linux")]
        if let Self::Sealed(file) = self {
            std::mem::forget(file);
        }
    }
}

/// Where the system shows this process's descriptors as files.
#[cfg(target_os = "linux")]
const DESCRIPTORS: &str = "/proc/self/fd";

#[cfg(target_os = "linux")]
fn sealed(library: &[u8], name: &str) -> io::Result<std::fs::File> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    /// The system takes no longer name.
    const MAX_NAME_BYTES: usize = 249;
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let memory = memfd_create(&name[..end], MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(library)?;
    fcntl_add_seals(
        &file,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Ok(file)
}

fn private(library: &[u8], name: &str) -> io::Result<Copy> {
    let mut file = tempfile::Builder::new().prefix("hyperfake-").suffix(name).tempfile()?;
    file.write_all(library)?;
    Ok(Copy::Private(file.into_temp_path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn sealed_memory_cannot_be_changed_and_is_what_was_copied() {
        let copy = Copy::new(b"library", "name.so").unwrap();
        let Copy::Sealed(file) = &copy else { panic!("this system has no memfd: {copy:?}") };
        let mut writer = file;
        for refused in [file.set_len(0), file.set_len(100), writer.write_all(b"x")] {
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
        assert_eq!(std::fs::read(copy.path()).unwrap(), b"library");
    }

    #[test]
    #[cfg(unix)]
    fn a_temporary_copy_is_private_and_removed_once_it_is_open() {
        use std::os::unix::fs::PermissionsExt;
        let copy = private(b"library", "name.so").unwrap();
        let path = copy.path();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read(&path).unwrap(), b"library");
        copy.keep();
        assert!(!path.exists());
    }
}
