//! Promises about what a backend and a model say of themselves.

use std::collections::BTreeSet;

use hyperfake_predictor::{Features, ModelUri};

use super::answers::follows_the_law;
use crate::conformance::{BackendCase, ModelCase, OrBroken, Outcome, broken};

/// Names are such that a URI can choose the backend.
pub(super) fn formats_are_well_formed(case: &BackendCase<'_>) -> Outcome {
    let formats = case.backend.formats();
    if formats.name.is_empty() {
        return broken("the backend has no name");
    }
    if formats.schemes.is_empty() && formats.extensions.is_empty() {
        return broken("no URI can choose the backend: it claims no scheme and no extension");
    }
    for scheme in formats.schemes {
        let uri: ModelUri = format!("{scheme}:file").parse().or_broken("parsing a URI")?;
        if uri.scheme() != Some(scheme) {
            return broken(format!("'{scheme}' is not the scheme of '{scheme}:file'"));
        }
    }
    for extension in formats.extensions {
        let uri = ModelUri::from_path(format!("file.{extension}"));
        if uri.extension().as_deref() != Some(extension) {
            return broken(format!("'{extension}' is not the extension of 'file.{extension}'"));
        }
    }
    Ok(())
}

/// The path as it was named, the backend's own name, columns without repeats, ranges for all or none.
pub(super) fn info_describes_the_model(case: &ModelCase<'_>) -> Outcome {
    let predictor = case.open()?;
    let info = predictor.info();
    if info.path != case.known.uri.path() {
        return broken(format!("found the path {}, expected it as named", info.path.display()));
    }
    let name = case.backend.backend.formats().name;
    if info.backend != name {
        return broken(format!("found the backend '{}', expected '{name}'", info.backend));
    }
    let columns: BTreeSet<_> = info.inputs.iter().collect();
    if columns.is_empty() || columns.len() != info.inputs.len() {
        return broken(format!("found the inputs {:?}, expected each at most once", info.inputs));
    }
    if ![0, info.inputs.len()].contains(&info.trained.len()) {
        return broken(format!(
            "found {} trained ranges for {} inputs, expected none or one for each",
            info.trained.len(),
            info.inputs.len()
        ));
    }
    if info.settings.keys().any(String::is_empty) {
        return broken("a setting has no name");
    }
    Ok(())
}

/// A setting that is meant for whoever serves the model does not change its answers, and is told.
pub(super) fn settings_of_others_change_no_answer_and_are_handed_on(
    case: &ModelCase<'_>,
) -> Outcome {
    let uri = case.known.uri.to_string();
    let (location, name) = uri.split_once('#').unwrap_or((&uri, ""));
    let separator = if location.contains('?') { '&' } else { '?' };
    let name = if name.is_empty() { String::new() } else { format!("#{name}") };
    let uri: ModelUri = format!("{location}{separator}cold_start=1s{name}")
        .parse()
        .or_broken("parsing a URI with one more parameter")?;
    let predictor = case.backend.open(&uri, case.way).or_broken(&format!("opening {uri}"))?;
    if predictor.info().settings.get("cold_start").map(String::as_str) != Some("1s") {
        return broken("the setting cold_start=1s of the URI is not among the model's settings");
    }
    let mut session = predictor.session().or_broken("a session")?;
    follows_the_law(case, predictor.as_ref(), session.as_mut(), &Features::IDLE)
}
