//! Properties about files that cannot be served.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hyperfake_predictor::{ErrorKind, Features, ModelUri, Random};
use tempfile::TempDir;

use super::answers::matches_the_reference;
use crate::case::{BackendCase, Failure, ModelCase, OpenVia, OrViolated, Outcome, violated};

pub(super) fn a_missing_file_is_an_error_that_names_it(case: &BackendCase<'_>) -> Outcome {
    let folder = folder()?;
    each_extension(case, |extension| {
        refused(case, &folder.path().join("none").with_extension(extension), &[ErrorKind::NotFound])
    })
}

pub(super) fn an_empty_file_is_an_error_that_names_it(case: &BackendCase<'_>) -> Outcome {
    let folder = folder()?;
    each_extension(case, |extension| {
        let path = folder.path().join("empty").with_extension(extension);
        refused(case, &write(path, b"")?, MALFORMED)
    })
}

/// Random bytes, zeros, text, and brackets nested deeper than any parser should follow.
pub(super) fn garbage_is_an_error_that_names_the_file(case: &BackendCase<'_>) -> Outcome {
    let folder = folder()?;
    let mut random = Random::new(2, 0);
    let mut bytes = |length: usize| (0..length).map(|_| random.bits() as u8).collect::<Vec<_>>();
    let garbage = [
        ("random-16", bytes(16)),
        ("random-4096", bytes(4096)),
        ("zeros", vec![0; 4096]),
        ("ones", vec![0xff; 4096]),
        ("text", b"This is not a model.\n".to_vec()),
        ("brackets", vec![b'['; 100_000]),
    ];
    each_extension(case, |extension| {
        garbage.iter().try_for_each(|(name, bytes)| {
            let path = folder.path().join(name).with_extension(extension);
            refused(case, &write(path, bytes)?, MALFORMED)
        })
    })
}

pub(super) fn a_folder_is_an_error_that_names_it(case: &BackendCase<'_>) -> Outcome {
    let folder = folder()?;
    each_extension(case, |extension| {
        let path = folder.path().join("folder").with_extension(extension);
        fs::create_dir(&path).or_violated("making a folder")?;
        refused(case, &path, MALFORMED)
    })
}

/// A file that is cut at a quarter, half or three quarters is refused. Cut elsewhere it may still be
/// valid; if it is refused, the error names it.
pub(super) fn a_truncated_file_is_an_error_that_names_it(case: &ModelCase<'_>) -> Outcome {
    const CUTS: usize = 40;
    let (folder, bytes) = copy_of(case)?;
    let length = bytes.len();
    let quarters = [length / 4, length / 2, length * 3 / 4];
    let spread = (1..CUTS).map(|cut| cut * length / CUTS);
    for cut in spread.chain(quarters).chain(1..9).chain(length.saturating_sub(8)..length) {
        let Some(part) = bytes.get(..cut).filter(|part| !part.is_empty()) else { continue };
        let path = write(folder.path().join(file_name(case)), part)?;
        let uri = moved(&case.model.uri, &path)?;
        match case.backend.open(&uri, case.via) {
            Err(error) => names(&path, &error, MALFORMED),
            Ok(_) if quarters.contains(&cut) => violated("it was opened"),
            Ok(predictor) => predictor.session().map(drop).or_violated("making a session"),
        }
        .or_violated(&format!("cutting it to {cut} of {length} bytes"))?;
    }
    Ok(())
}

/// All that is needed is read when a file is opened.
pub(super) fn the_file_may_vanish_once_it_is_open(case: &ModelCase<'_>) -> Outcome {
    let (folder, bytes) = copy_of(case)?;
    let path = write(folder.path().join(file_name(case)), &bytes)?;
    let uri = moved(&case.model.uri, &path)?;
    let predictor = case.backend.open(&uri, case.via).or_violated("opening a copy")?;
    drop(folder);
    let mut session = predictor.session().or_violated("making a session")?;
    matches_the_reference(case, predictor.as_ref(), session.as_mut(), &Features::IDLE)
}

/// The kinds of error that say that a file is at fault.
const MALFORMED: &[ErrorKind] = &[ErrorKind::Invalid, ErrorKind::Unsupported];

fn folder() -> Result<TempDir, Failure> {
    tempfile::tempdir().or_violated("making a folder")
}

fn write(path: PathBuf, bytes: &[u8]) -> Result<PathBuf, Failure> {
    fs::write(&path, bytes).or_violated("writing a file")?;
    Ok(path)
}

/// A backend that claims no extension is asked with an extension that no backend claims.
fn each_extension(case: &BackendCase<'_>, check: impl Fn(&str) -> Outcome) -> Outcome {
    match case.backend.formats().extensions {
        [] => check("model"),
        extensions => extensions.iter().try_for_each(|extension| check(extension)),
    }
}

fn refused(case: &BackendCase<'_>, path: &Path, kinds: &[ErrorKind]) -> Outcome {
    let uri = ModelUri::from_path(path);
    for via in [OpenVia::Backend, OpenVia::Registry] {
        if via == OpenVia::Registry && case.backend.formats().extensions.is_empty() {
            continue;
        }
        let about = format!("opening {} {via}", path.display());
        match case.open(&uri, via) {
            Err(error) => names(path, &error, kinds).or_violated(&about)?,
            Ok(_) => return violated(format!("{about} worked")),
        }
    }
    Ok(())
}

fn names(path: &Path, error: &hyperfake_predictor::Error, kinds: &[ErrorKind]) -> Outcome {
    let text = error.to_string();
    if !text.contains(&*path.to_string_lossy()) {
        return violated(format!("the error does not name the file: {text}"));
    }
    if !kinds.contains(&error.kind()) {
        return violated(format!("found the kind {:?}, expected {kinds:?}: {text}", error.kind()));
    }
    Ok(())
}

/// A folder for changed copies of the model's file, and the file's bytes.
fn copy_of(case: &ModelCase<'_>) -> Result<(TempDir, Vec<u8>), Failure> {
    match fs::read(case.model.uri.path()) {
        Ok(bytes) => Ok((folder()?, bytes)),
        Err(error) => Err(Failure::Skipped(format!("the model is not a file: {error}"))),
    }
}

fn file_name(case: &ModelCase<'_>) -> PathBuf {
    case.model.uri.path().file_name().unwrap_or_default().into()
}

/// The URI with another path.
fn moved(uri: &ModelUri, path: &Path) -> Result<ModelUri, Failure> {
    let plain = ModelUri::from_path(uri.path()).to_string();
    uri.to_string()
        .replacen(&plain, &ModelUri::from_path(path).to_string(), 1)
        .parse()
        .or_violated("parsing the URI of a copy")
}
