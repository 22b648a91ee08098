use std::fmt::Write;

use hyperfake_predictor::{Limits, Range, RawPrediction};
use serde::Serialize;

use super::{format, json};

/// What `hyperfake models check` found out about the models of one file, or why nothing.
#[derive(Debug, Serialize)]
pub struct CheckedFile {
    /// The file, as it was named.
    pub file: String,
    /// Its models.
    pub models: Vec<CheckedModel>,
    /// What is wrong.
    pub problems: Vec<String>,
}

/// One model, as each backend runs it.
#[derive(Debug, Serialize)]
pub struct CheckedModel {
    /// The image that the file names.
    pub image: Option<String>,
    /// The features that it is asked with.
    pub inputs: Vec<Input>,
    /// The units of its numbers.
    pub units: String,
    /// What it predicts at points that a person would look at first.
    pub predictions: Vec<Sample>,
    /// The backends that claim the file.
    pub backends: Vec<BackendRun>,
}

/// A feature and the range that the model was trained on.
#[derive(Debug, Serialize)]
pub struct Input {
    /// The feature's name.
    pub feature: &'static str,
    /// The lower end of the range.
    pub trained_low: Option<f64>,
    /// The upper end of the range.
    pub trained_high: Option<f64>,
}

/// A prediction.
#[derive(Debug, Serialize)]
pub struct Sample {
    /// What the point stands for.
    pub at: &'static str,
    /// The point.
    pub features: [f64; 5],
    /// The run time in nanoseconds.
    pub runtime_ns: f64,
    /// The CPU in cores.
    pub cpu_cores: f64,
    /// The memory in bytes.
    pub ram_bytes: f64,
}

/// How a backend runs the model.
#[derive(Debug, Serialize)]
pub struct BackendRun {
    /// Its name.
    pub backend: &'static str,
    /// Whether it is the one that a server would use.
    pub serves: bool,
    /// The time of one prediction.
    pub ns_per_prediction: Option<f64>,
    /// From the answers of the backend that serves, relative.
    pub largest_difference: Option<f64>,
    /// Why it does not serve, although it was asked before the one that does.
    pub declined: Option<String>,
}

/// For a program.
#[must_use]
pub fn check_json(files: &[CheckedFile]) -> String {
    json(&files)
}

/// For a person; predictions are brought within the limits.
#[must_use]
pub fn check_text(files: &[CheckedFile], limits: &Limits) -> String {
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
