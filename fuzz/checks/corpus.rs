//! The inputs that the fuzzers found worth keeping.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::{fs, path::Path};

#[path = "scratch.rs"]
mod scratch;

/// Runs a check on every file of a target's corpus, on this thread.
pub(crate) fn replay(target: &str, check: fn(&[u8])) {
    // The tests that replay a corpus are in packages two folders below the workspace.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no files in {}", folder.display());
    for file in files {
        // Shown when the check fails: the last one is the file.
        println!("{}", file.display());
        check(&fs::read(&file).unwrap());
    }
    scratch::remove();
}
