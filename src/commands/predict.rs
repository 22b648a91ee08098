//! `hyperfake predict`: one prediction, without a server.

use hyperfake_predictor::{Error, Features, Limits, RawPrediction, Result};

use super::Output;
use crate::{args::PredictArgs, backends, config, report::PredictionReport};

/// The quantiles that are shown of a model that knows distributions.
const LEVELS: [f64; 3] = [0.5, 0.9, 0.99];

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
    let info = model.predictor.info();
    let levels = if info.knows_distributions { &LEVELS[..] } else { &[] };
    let mut session = model.predictor.session()?;
    let limits = Limits { max_runtime: args.max_runtime };
    let checked = limits.check(session.predict(&features)?);
    let mut quantiles = vec![RawPrediction::default(); levels.len()];
    session.quantiles(&features, levels, &mut quantiles)?;
    let quantiles = quantiles.into_iter().map(|quantile| limits.check(quantile));
    let quantiles: Vec<_> = levels.iter().copied().zip(quantiles).collect();
    let report = PredictionReport::new(
        args.model.to_string(),
        info.backend,
        &features,
        &checked,
        &quantiles,
    );
    Ok(Output::success(if args.json { report.json() } else { report.text() }))
}
