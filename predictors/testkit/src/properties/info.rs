//! Properties about what a backend and a model say of themselves.

use std::collections::BTreeSet;

use hyperfake_predictor::{Features, ModelUri};

use super::answers::matches_the_reference;
use crate::case::{BackendCase, ModelCase, OrViolated, Outcome, violated};

/// Names are such that a URI can choose the backend.
pub(super) fn formats_are_well_formed(case: &BackendCase<'_>) -> Outcome {
    let formats = case.backend.formats();
    if formats.name.is_empty() {
        return violated("the backend has no name");
    }
    if formats.schemes.is_empty() && formats.extensions.is_empty() {
        return violated("no URI can choose the backend: it claims no scheme and no extension");
    }
    for scheme in formats.schemes {
        let uri: ModelUri = format!("{scheme}:file").parse().or_violated("parsing a URI")?;
        if uri.scheme() != Some(scheme) {
            return violated(format!("'{scheme}' is not the scheme of '{scheme}:file'"));
        }
    }
    for extension in formats.extensions {
        let uri = ModelUri::from_path(format!("file.{extension}"));
        if uri.extension().as_deref() != Some(extension) {
            return violated(format!("'{extension}' is not the extension of 'file.{extension}'"));
        }
    }
    Ok(())
}

/// The path as it was named, the backend's own name, columns without repeats, ranges for all or none.
pub(super) fn info_describes_the_model(case: &ModelCase<'_>) -> Outcome {
    let predictor = case.open()?;
    let info = predictor.info();
    if info.path != case.model.uri.path() {
        return violated(format!("found the path {}, expected it as named", info.path.display()));
    }
    let name = case.backend.backend.formats().name;
    if info.backend != name {
        return violated(format!("found the backend '{}', expected '{name}'", info.backend));
    }
    let columns: BTreeSet<_> = info.inputs.iter().collect();
    if columns.is_empty() || columns.len() != info.inputs.len() {
        return violated(format!("found the inputs {:?}, expected each at most once", info.inputs));
    }
    if ![0, info.inputs.len()].contains(&info.trained.len()) {
        return violated(format!(
            "found {} trained ranges for {} inputs, expected none or one for each",
            info.trained.len(),
            info.inputs.len()
        ));
    }
    if info.settings.keys().any(String::is_empty) {
        return violated("a setting has no name");
    }
    Ok(())
}

/// A setting that the backend does not know changes no answer and is passed on.
pub(super) fn settings_of_others_change_no_answer_and_are_handed_on(
    case: &ModelCase<'_>,
) -> Outcome {
    let uri = case.model.uri.to_string();
    let (location, name) = uri.split_once('#').unwrap_or((&uri, ""));
    let separator = if location.contains('?') { '&' } else { '?' };
    let name = if name.is_empty() { String::new() } else { format!("#{name}") };
    let uri: ModelUri = format!("{location}{separator}cold_start=1s{name}")
        .parse()
        .or_violated("parsing a URI with one more parameter")?;
    let predictor = case.backend.open(&uri, case.via).or_violated(&format!("opening {uri}"))?;
    if predictor.info().settings.get("cold_start").map(String::as_str) != Some("1s") {
        return violated("the setting cold_start=1s of the URI is not among the model's settings");
    }
    let mut session = predictor.session().or_violated("a session")?;
    matches_the_reference(case, predictor.as_ref(), session.as_mut(), &Features::IDLE)
}
