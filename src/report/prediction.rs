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
    /// Of a model that knows distributions; the prediction is their mean.
    quantiles: Vec<Quantile>,
    /// What of the prediction was changed, because it was out of range.
    corrections: Vec<String>,
}

/// What a share of all calls does not exceed.
#[derive(Debug, Clone, Serialize)]
struct Quantile {
    level: f64,
    runtime_ns: u64,
    cpu_cores: f64,
    ram_bytes: u64,
}

impl PredictionReport {
    /// The answer of a model to a question.
    pub(crate) fn new(
        model: String,
        backend: &'static str,
        features: &Features,
        checked: &Checked,
        quantiles: &[(f64, Checked)],
    ) -> Self {
        let prediction = &checked.prediction;
        let corrections =
            checked.corrections().map(|(output, fault)| format!("{output} was {fault}"));
        let of_quantiles = quantiles.iter().flat_map(|(level, checked)| {
            let corrections = checked.corrections();
            corrections.map(move |(output, fault)| {
                format!("{output} was {fault} at {}", percentile(*level))
            })
        });
        let corrections = corrections.chain(of_quantiles).collect();
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
            quantiles: quantiles.iter().map(Quantile::of).collect(),
            corrections,
        }
    }

    pub(crate) fn json(&self) -> String {
        json(self)
    }

    pub(crate) fn text(&self) -> String {
        let mean = if self.quantiles.is_empty() { "" } else { "mean " };
        let mut text = format!(
            "model    {} ({})\nruntime  {mean}{} ({} ns)\ncpu      {mean}{} cores\nram      {mean}{} ({} bytes)",
            self.model,
            self.backend,
            format::nanoseconds(self.runtime_ns as f64),
            self.runtime_ns,
            self.cpu_cores,
            format::bytes(self.ram_bytes as f64),
            self.ram_bytes,
        );
        for Quantile { level, runtime_ns, cpu_cores, ram_bytes } in &self.quantiles {
            text += &format!(
                "\n{:<8} {}, {cpu_cores:.2} cores, {}",
                percentile(*level),
                format::nanoseconds(*runtime_ns as f64),
                format::bytes(*ram_bytes as f64),
            );
        }
        if !self.corrections.is_empty() {
            text += &format!("\ncorrected: {}", self.corrections.join(", "));
        }
        text
    }
}

impl Quantile {
    fn of((level, checked): &(f64, Checked)) -> Self {
        let prediction = &checked.prediction;
        Self {
            level: *level,
            runtime_ns: prediction.runtime.as_nanos() as u64,
            cpu_cores: prediction.cpu_cores,
            ram_bytes: prediction.ram_bytes,
        }
    }
}

/// Such as `p50`.
fn percentile(level: f64) -> String {
    format!("p{}", (1000.0 * level).round() / 10.0)
}
