//! Promises about files that cannot be served.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hyperfake_predictor::{ErrorKind, Features, ModelUri};
use tempfile::TempDir;

use super::answers::follows_the_law;
use crate::{
    conformance::{BackendCase, ModelCase, NotKept, OrBroken, Outcome, Way, broken},
    samples::Numbers,
};

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
    let mut numbers = Numbers::new(2);
    let mut random = |length: usize| (0..length).map(|_| numbers.next() as u8).collect::<Vec<_>>();
    let garbage = [
        ("random-16", random(16)),
        ("random-4096", random(4096)),
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
        fs::create_dir(&path).or_broken("making a folder")?;
        refused(case, &path, MALFORMED)
    })
}

/// Cut at a quarter, half and three quarters, a file is refused. Cut anywhere else it may be
/// whole enough to serve, but an error names it.
pub(super) fn a_truncated_file_is_an_error_that_names_it(case: &ModelCase<'_>) -> Outcome {
    const CUTS: usize = 40;
    let (folder, bytes) = copy_of(case)?;
    let length = bytes.len();
    let quarters = [length / 4, length / 2, length * 3 / 4];
    let spread = (1..CUTS).map(|cut| cut * length / CUTS);
    for cut in spread.chain(quarters).chain(1..9).chain(length.saturating_sub(8)..length) {
        let Some(part) = bytes.get(..cut).filter(|part| !part.is_empty()) else { continue };
        let path = write(folder.path().join(file_name(case)), part)?;
        let uri = moved(&case.known.uri, &path)?;
        match case.backend.open(&uri, case.way) {
            Err(error) => names(&path, &error, MALFORMED),
            Ok(_) if quarters.contains(&cut) => broken("it was opened"),
            Ok(predictor) => predictor.session().map(drop).or_broken("making a session"),
        }
        .or_broken(&format!("cutting it to {cut} of {length} bytes"))?;
    }
    Ok(())
}

/// All that is needed is read when a file is opened.
pub(super) fn the_file_may_vanish_once_it_is_open(case: &ModelCase<'_>) -> Outcome {
    let (folder, bytes) = copy_of(case)?;
    let path = write(folder.path().join(file_name(case)), &bytes)?;
    let uri = moved(&case.known.uri, &path)?;
    let predictor = case.backend.open(&uri, case.way).or_broken("opening a copy")?;
    drop(folder);
    let mut session = predictor.session().or_broken("making a session")?;
    follows_the_law(case, predictor.as_ref(), session.as_mut(), &Features::IDLE)
}

/// The kinds of error that say that a file is at fault.
const MALFORMED: &[ErrorKind] = &[ErrorKind::Invalid, ErrorKind::Unsupported];

fn folder() -> Result<TempDir, NotKept> {
    tempfile::tempdir().or_broken("making a folder")
}

fn write(path: PathBuf, bytes: &[u8]) -> Result<PathBuf, NotKept> {
    fs::write(&path, bytes).or_broken("writing a file")?;
    Ok(path)
}

/// A backend that claims no extension is asked with one that nobody claims.
fn each_extension(case: &BackendCase<'_>, check: impl Fn(&str) -> Outcome) -> Outcome {
    match case.backend.formats().extensions {
        [] => check("model"),
        extensions => extensions.iter().try_for_each(|extension| check(extension)),
    }
}

fn refused(case: &BackendCase<'_>, path: &Path, kinds: &[ErrorKind]) -> Outcome {
    let uri = ModelUri::from_path(path);
    for way in [Way::Directly, Way::ThroughTheRegistry] {
        if way == Way::ThroughTheRegistry && case.backend.formats().extensions.is_empty() {
            continue;
        }
        let about = format!("opening {} {way}", path.display());
        match case.open(&uri, way) {
            Err(error) => names(path, &error, kinds).or_broken(&about)?,
            Ok(_) => return broken(format!("{about} worked")),
        }
    }
    Ok(())
}

fn names(path: &Path, error: &hyperfake_predictor::Error, kinds: &[ErrorKind]) -> Outcome {
    let text = error.to_string();
    if !text.contains(&*path.to_string_lossy()) {
        return broken(format!("the error does not name the file: {text}"));
    }
    if !kinds.contains(&error.kind()) {
        return broken(format!("found the kind {:?}, expected {kinds:?}: {text}", error.kind()));
    }
    Ok(())
}

/// A folder for changed copies of the model's file, and the file's bytes.
fn copy_of(case: &ModelCase<'_>) -> Result<(TempDir, Vec<u8>), NotKept> {
    match fs::read(case.known.uri.path()) {
        Ok(bytes) => Ok((folder()?, bytes)),
        Err(error) => Err(NotKept::Skipped(format!("the model is no file to copy: {error}"))),
    }
}

fn file_name(case: &ModelCase<'_>) -> PathBuf {
    case.known.uri.path().file_name().unwrap_or_default().into()
}

/// The URI with another path.
fn moved(uri: &ModelUri, path: &Path) -> Result<ModelUri, NotKept> {
    let plain = ModelUri::from_path(uri.path()).to_string();
    uri.to_string()
        .replacen(&plain, &ModelUri::from_path(path).to_string(), 1)
        .parse()
        .or_broken("parsing the URI of a copy")
}
