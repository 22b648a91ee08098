//! Finds the commit that the program is built from, for `--version`, and keeps the program small.

use std::{path::Path, process::Command};

/// The variable that tells the commit.
const TOLD: &str = "HYPERFAKE_BUILD_COMMIT";

fn main() {
    // Where the sources are without their history, as in an image's build.
    let told = std::env::var_os(TOLD).and_then(|commit| commit.into_string().ok());
    let told = told.filter(|commit| !commit.is_empty());
    let commit = told.or_else(commit).unwrap_or_else(|| "unknown commit".to_owned());
    println!("cargo::rustc-env=HYPERFAKE_COMMIT={commit}");
    println!("cargo::rerun-if-env-changed={TOLD}");
    if knows_packed_relocations() {
        // The addresses that are set at the start, 2 MB of them, in 15 KB.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    println!("cargo::rerun-if-changed=build.rs");
    // Written at every commit and at every change of branch.
    let log = Path::new(".git/logs/HEAD");
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
}

fn commit() -> Option<String> {
    let asked = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let commit = String::from_utf8(asked.stdout).ok().filter(|_| asked.status.success())?;
    Some(commit.trim().to_owned())
}

/// glibc 2.36 and newer, and the linkers of its time. Only asked where the program is built for the
/// machine that builds it.
fn knows_packed_relocations() -> bool {
    let variable =
        |name| std::env::var_os(name).unwrap_or_default().into_string().unwrap_or_default();
    let target = variable("TARGET");
    if target != variable("HOST") || !target.ends_with("-linux-gnu") {
        return false;
    }
    let version = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let number = |text: &str| {
        let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    version.is_ok_and(|text| number(&text).is_some_and(|version| version >= (2, 36)))
}
