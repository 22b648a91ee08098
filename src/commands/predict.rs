//! `hyperfake predict`: one prediction, without a server.

use hyperfake_predictor::{Error, Features, Limits, Result};

use super::Output;
use crate::{args::PredictArgs, backends, config, report::PredictionReport};

/// Opens the model and asks it.
///
/// # Errors
///
/// When the model cannot be opened, or fails.
pub fn run(args: &PredictArgs) -> Result<Output> {
    let features = Features {
        request_bytes: args.request_bytes,
        function_instances: args.function_instances,
        active_calls: args.active_calls,
        worker_cpu_cores: args.worker_cpu,
        worker_ram_bytes: args.worker_ram,
    };
    let models = backends::all(&config::choice(&args.engine)).open(&args.model)?.models;
    let [model] = models.as_slice() else {
        let images: Vec<_> = models.iter().filter_map(|model| model.image.as_deref()).collect();
        let message = format!(
            "the file holds {} images; choose one with '#image': {}",
            models.len(),
            images.join(", ")
        );
        return Err(Error::invalid(message).at(&args.model));
    };
    let raw = model.predictor.session()?.predict(&features)?;
    let checked = Limits { max_runtime: args.max_runtime }.check(raw);
    let backend = model.predictor.info().backend;
    let report = PredictionReport::new(args.model.to_string(), backend, &features, &checked);
    Ok(Output::success(if args.json { report.json() } else { report.text() }))
}
