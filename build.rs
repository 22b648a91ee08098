//! Finds the commit that the program is built from, for `--version`.

use std::{path::Path, process::Command};

fn main() {
    let commit = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown commit".to_owned(), |commit| commit.trim().to_owned());
    println!("cargo::rustc-env=HYPERFAKE_COMMIT={commit}");
    println!("cargo::rerun-if-changed=build.rs");
    // Written at every commit and at every change of branch.
    let log = Path::new(".git/logs/HEAD");
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
}
