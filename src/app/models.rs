use hyperfake_predictor::{Error, ErrorKind, Result};

use crate::{
    backends,
    catalog::{self, Catalog, Extrapolation},
    config::Models,
};

/// Opens every model that was named or that the folder offers.
///
/// # Errors
///
/// When one cannot be opened, unless it may be left out, and when there is none.
pub fn open_models(models: &Models, extrapolation: Extrapolation) -> Result<Catalog> {
    let backends = backends::all(&models.backends);
    let mut offered = backends.extensions();
    if !models.allow_plugins {
        offered.retain(|extension| !backends::PLUGIN_EXTENSIONS.contains(extension));
    }
    let mut sources = models.named.clone();
    if let Some(folder) = &models.folder {
        let found = catalog::search(folder, &offered);
        let mut found = found.map_err(|error| error.at("--models-dir"))?;
        if let Err(error) = backends::check_plugins(found.iter().map(|found| &found.uri), folder) {
            let error = error.at("--models-dir");
            if !models.skip_bad {
                return Err(error);
            }
            tracing::warn!(%error, "left out the plugins");
            found.retain(|found| !backends::is_plugin(&found.uri));
        }
        sources.extend(found);
    }
    let mut catalog = Catalog::new(extrapolation);
    let loaded = catalog::load(&sources, &backends);
    for (index, (source, loaded)) in sources.iter().zip(loaded).enumerate() {
        match loaded.and_then(|loaded| catalog.add_loaded(source, loaded)) {
            Err(error) if error.kind() == ErrorKind::Conflict => return Err(error),
            Err(error) if models.skip_bad => tracing::warn!(%error, "left out a model"),
            Err(error) if index >= models.named.len() => return Err(no_model(&error)),
            added => added?,
        }
    }
    if catalog.models().is_empty() {
        let known: Vec<_> = offered.iter().map(|known| format!(".{known}")).collect();
        let message = format!(
            "found no model to serve; name one with -m, or a folder that has some ({}) with \
             --models-dir",
            known.join(", ")
        );
        return Err(Error::not_found(message));
    }
    Ok(catalog)
}

/// A file that was found in a folder may have nothing to do with models, such as a package.json.
fn no_model(error: &Error) -> Error {
    let advice = "what is no model belongs in another folder, or is left out with";
    Error::new(error.kind(), format!("{error}; {advice} --skip-bad-models"))
}
