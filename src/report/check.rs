use std::fmt::Write;

use hyperfake_predictor::{Limits, Range, RawPrediction};
use serde::Serialize;

use super::{format, json};

/// What `hyperfake models check` found out about the models of one file, or why nothing.
#[derive(Debug, Serialize)]
pub(crate) struct CheckedFile {
    pub(crate) file: String,
    pub(crate) models: Vec<CheckedModel>,
    pub(crate) problems: Vec<String>,
}

/// One model, as each backend runs it.
#[derive(Debug, Serialize)]
pub(crate) struct CheckedModel {
    pub(crate) image: Option<String>,
    /// The features that it is asked with.
    pub(crate) inputs: Vec<Input>,
    pub(crate) units: String,
    /// Whether calls are drawn from distributions, of which the predictions are the means.
    pub(crate) knows_distributions: bool,
    /// What it predicts at points that a person would look at first.
    pub(crate) predictions: Vec<Sample>,
    pub(crate) backends: Vec<BackendRun>,
}

/// A feature and the range that the model was trained on.
#[derive(Debug, Serialize)]
pub(crate) struct Input {
    pub(crate) feature: &'static str,
    pub(crate) trained_low: Option<f64>,
    pub(crate) trained_high: Option<f64>,
}

/// A prediction.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) at: &'static str,
    pub(crate) features: [f64; 5],
    pub(crate) runtime_ns: f64,
    pub(crate) cpu_cores: f64,
    pub(crate) ram_bytes: f64,
}

/// How a backend runs the model.
#[derive(Debug, Serialize)]
pub(crate) struct BackendRun {
    pub(crate) backend: &'static str,
    /// Whether it is the one that a server would use.
    pub(crate) serves: bool,
    pub(crate) ns_per_prediction: Option<f64>,
    /// From the answers of the backend that serves, relative.
    pub(crate) largest_difference: Option<f64>,
    /// Why it does not serve, although it was asked before the one that does.
    pub(crate) declined: Option<String>,
}
pub(crate) fn check_json(files: &[CheckedFile]) -> String {
    json(&files)
}

/// For a person; predictions are brought within the limits.
pub(crate) fn check_text(files: &[CheckedFile], limits: &Limits) -> String {
    files.iter().map(|file| text(file, limits)).collect::<Vec<_>>().join("\n\n")
}

fn text(file: &CheckedFile, limits: &Limits) -> String {
    let mut text = file.file.clone();
    for model in &file.models {
        if let Some(image) = &model.image {
            let _ = write!(text, "\n  image    {image}");
        }
        let inputs: Vec<_> = model.inputs.iter().map(input).collect();
        let _ = write!(text, "\n  inputs   {}\n  units    {}", inputs.join(", "), model.units);
        if model.knows_distributions {
            text += "\n  draws    from distributions with these means";
        }
        for sample in &model.predictions {
            let raw =
                RawPrediction::from_array([sample.runtime_ns, sample.cpu_cores, sample.ram_bytes]);
            let prediction = limits.check(raw).prediction;
            let _ = write!(text, "\n  {:<28} {}", sample.at, format::prediction(&prediction));
        }
        for run in &model.backends {
            let _ = write!(text, "\n  {:<8} {}", run.backend, outcome(run));
        }
    }
    for problem in &file.problems {
        let _ = write!(text, "\n  PROBLEM  {problem}");
    }
    text
}

fn input(input: &Input) -> String {
    let range = input.trained_low.zip(input.trained_high);
    match range.and_then(|(low, high)| Range::new(low, high)) {
        Some(range) => format!("{} ({range})", input.feature),
        None => input.feature.to_owned(),
    }
}

fn outcome(run: &BackendRun) -> String {
    let mut parts = Vec::new();
    parts.extend(run.ns_per_prediction.map(|ns| format!("{:>9} each", format::nanoseconds(ns))));
    parts.extend(run.serves.then(|| "serves".to_owned()));
    parts.extend(run.largest_difference.map(|most| format!("differs by at most {most:.1e}")));
    parts.extend(run.declined.as_ref().map(|reason| format!("declined: {reason}")));
    parts.join(", ")
}
