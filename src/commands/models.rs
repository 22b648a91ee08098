//! `hyperfake models`: what would be loaded, and whether it can be trusted.

mod check;

use hyperfake_predictor::Result;
use serde_json::json;

use crate::{app, args::ModelsArgs, catalog::Model, config::Models};

pub use self::check::check;

/// Opens what a server would open with these options, and returns the list to print.
///
/// # Errors
///
/// When a server would not start for it.
pub fn list(args: ModelsArgs) -> Result<String> {
    let catalog = app::open_models(&Models::new(args.models)?, Default::default())?;
    if args.json {
        let models: Vec<_> = catalog.models().iter().map(|model| describe(model)).collect();
        return Ok(format!("{:#}", json!(models)));
    }
    Ok(app::table(catalog.models(), &check::LIMITS).to_string())
}

fn describe(model: &Model) -> serde_json::Value {
    let info = model.predictor.info();
    let names: Vec<_> = info.inputs.iter().map(|input| input.name()).collect();
    json!({
        "image": model.image.to_string(),
        "file": info.path,
        "backend": info.backend,
        "inputs": names,
        "units": info.units.to_string(),
        "settings": info.settings,
        "idle": check::ask(model.predictor.as_ref()).ok(),
    })
}
