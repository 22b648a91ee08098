//! Finds the commit that the program is built from, for `--version`, keeps the program small, and
//! compresses the files of the page, which are in the program in that form alone.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    path::Path,
    process::Command,
};

use flate2::{Compression, write::GzEncoder};

/// The variable that tells the commit.
const TOLD: &str = "HYPERFAKE_BUILD_COMMIT";

fn main() -> Result<(), Box<dyn Error>> {
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
    compress_page("src/admin/page")
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

/// Compresses each file of a folder, and writes a list of them as Rust for `src/admin/page.rs`.
fn compress_page(folder: &str) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={folder}");
    let target = env::var_os("OUT_DIR").ok_or("found no OUT_DIR, which cargo sets")?;
    let mut files: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut list = "&[\n".to_owned();
    for file in files {
        let name = file.file_name().into_string().map_err(|name| format!("found {name:?}"))?;
        let Some(kind) = kind(&name) else {
            return Err(format!("found {folder}/{name}, expected a file of a web page").into());
        };
        let content = fs::read(file.path())?;
        let compressed = Path::new(&target).join(format!("{name}.gz"));
        let mut encoder = GzEncoder::new(fs::File::create(&compressed)?, Compression::best());
        encoder.write_all(&content)?;
        encoder.finish()?;
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let name = if name == "index.html" { "" } else { &name };
        writeln!(
            list,
            "File {{ name: {name:?}, kind: {kind:?}, tag: \"\\\"{:016x}\\\"\", gzip: \
             include_bytes!({compressed:?}) }},",
            hasher.finish()
        )?;
    }
    list += "]\n";
    fs::write(Path::new(&target).join("page.rs"), list)?;
    Ok(())
}

/// The media type of a file.
fn kind(name: &str) -> Option<&'static str> {
    match Path::new(name).extension()?.to_str()? {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "txt" => Some("text/plain; charset=utf-8"),
        _ => None,
    }
}
