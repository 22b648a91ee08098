//! The one ONNX Runtime of the process.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use hyperfake_predictor::{Error, Result};
use ort::{
    environment::Environment,
    logging::{LogLevel, LoggerFunction},
};
use tracing::{debug, info, warn};

use crate::{
    places::Place,
    search::{Found, find},
    telemetry::turn_off_telemetry,
};

/// Kept until the process ends: a second one is not allowed, and without it the sessions of a
/// model that is opened later would have none.
static RUNTIME: Mutex<Option<Environment>> = Mutex::new(None);

/// Finds and loads ONNX Runtime, unless that was done before. After a failure it is looked for
/// again by the next model, because it may have been installed meanwhile.
pub(crate) fn environment(library: Option<&Path>) -> Result<Environment> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*runtime {
        return Ok(environment.clone());
    }
    let search = find(library);
    let Some(found) = &search.found else { return Err(search.error()) };
    for tried in &search.tried {
        // The user named it, and another one is used.
        if tried.path.is_some() && matches!(tried.place, Place::Option | Place::Variable) {
            warn!("not used: {tried}");
        }
    }
    if !turn_off_telemetry() {
        warn!("ONNX Runtime may report on this machine; ORT_DISABLE_TELEMETRY=1 turns that off");
    }
    let environment = load(found)?;
    info!("loaded {found}");
    Ok(runtime.insert(environment).clone())
}

fn load(found: &Found) -> Result<Environment> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::unsupported("ONNX Runtime cannot be loaded")
            .with_source(error)
            .at(found.path.display())
    };
    // What it has to say about a failure is in the error, too.
    let logger: LoggerFunction = Arc::new(|level, category, _, _, message| {
        debug!(target: "onnxruntime", ?level, category, "{message}");
    });
    let environment = ort::init_from(&found.path)
        .map_err(|error| failed(error.into()))?
        .with_name("hyperfake")
        .with_telemetry(false)
        .with_logger(logger)
        .build()
        .map_err(|error| failed(error.into()))?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}
