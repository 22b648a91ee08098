use std::collections::BTreeMap;

use hyperfake_predictor::{Checked, Feature, Features};
use serde::Serialize;

use super::{format, json};

/// What `hyperfake predict` shows.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PredictionReport {
    /// The model, as it was named.
    pub(crate) model: String,
    pub(crate) backend: &'static str,
    /// What the model was asked.
    features: BTreeMap<&'static str, f64>,
    runtime_ns: u64,
    cpu_cores: f64,
    ram_bytes: u64,
    /// What of the prediction was changed, because it was out of range.
    corrections: Vec<String>,
}

impl PredictionReport {
    /// The answer of a model to a question.
    pub(crate) fn new(
        model: String,
        backend: &'static str,
        features: &Features,
        checked: &Checked,
    ) -> Self {
        let prediction = &checked.prediction;
        Self {
            model,
            backend,
            features: Feature::ALL
                .map(|feature| (feature.name(), features.value(feature)))
                .into_iter()
                .collect(),
            runtime_ns: prediction.runtime.as_nanos() as u64,
            cpu_cores: prediction.cpu_cores,
            ram_bytes: prediction.ram_bytes,
            corrections: checked
                .corrections()
                .map(|(output, fault)| format!("{output} was {fault}"))
                .collect(),
        }
    }

    pub(crate) fn json(&self) -> String {
        json(self)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "model    {} ({})\nruntime  {} ({} ns)\ncpu      {} cores\nram      {} ({} bytes)",
            self.model,
            self.backend,
            format::nanoseconds(self.runtime_ns as f64),
            self.runtime_ns,
            self.cpu_cores,
            format::bytes(self.ram_bytes as f64),
            self.ram_bytes,
        );
        if !self.corrections.is_empty() {
            text += &format!("\ncorrected: {}", self.corrections.join(", "));
        }
        text
    }
}
