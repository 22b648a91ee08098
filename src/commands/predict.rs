//! `hyperfake predict`: one prediction, without a server.

use hyperfake_predictor::{Error, Feature, Features, Limits, Result};
use serde_json::json;

use crate::{args::PredictArgs, backends, config, report::format};

/// Opens the model, asks it, and returns what to print.
///
/// # Errors
///
/// When the model cannot be opened, or fails.
pub fn predict(args: &PredictArgs) -> Result<String> {
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
    let (info, prediction) = (model.predictor.info(), checked.prediction);
    let corrections: Vec<_> =
        checked.corrections().map(|(output, fault)| format!("{output} was {fault}")).collect();
    if args.json {
        let features: serde_json::Map<_, _> = Feature::ALL
            .map(|feature| (feature.name().to_owned(), json!(features.value(feature))))
            .into_iter()
            .collect();
        let object = json!({
            "runtime_ns": prediction.runtime.as_nanos() as u64,
            "cpu_cores": prediction.cpu_cores,
            "ram_bytes": prediction.ram_bytes,
            "corrections": corrections,
            "features": features,
            "model": args.model.to_string(),
            "backend": info.backend,
        });
        return Ok(format!("{object:#}"));
    }
    let mut text = format!(
        "model    {} ({})\nruntime  {} ({} ns)\ncpu      {} cores\nram      {} ({} bytes)",
        args.model,
        info.backend,
        format::duration(prediction.runtime),
        prediction.runtime.as_nanos(),
        prediction.cpu_cores,
        format::bytes(prediction.ram_bytes as f64),
        prediction.ram_bytes,
    );
    if !corrections.is_empty() {
        text += &format!("\ncorrected: {}", corrections.join(", "));
    }
    Ok(text)
}
