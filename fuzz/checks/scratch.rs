//! Files for code that opens nothing but files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
// Not every program that contains this module uses all of it.
#![allow(dead_code)]

use std::{fs, path::PathBuf, process, thread};

/// Writes a file into a folder of this process and thread, in memory where the system has such a
/// file system.
pub(crate) fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = folder();
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Removes the folder.
pub(crate) fn remove() {
    let _ = fs::remove_dir_all(folder());
}

fn folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    parent.join(format!("hyperfake-fuzz-{}-{:?}", process::id(), thread::current().id()))
}
