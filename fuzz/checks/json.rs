//! A JSON model is refused with the line that is wrong, or it answers what its numbers say.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::sync::Arc;

use hyperfake_predictor::{
    Backend, Backends, Feature, Features, ModelUri, Output, RawPrediction, Session, Uniforms,
};
use hyperfake_predictor_json::JsonBackend;
use serde_json::Value;

#[path = "questions.rs"]
mod questions;
#[path = "scratch.rs"]
mod scratch;

use questions::{ODD, QUESTIONS};

pub(crate) fn check(bytes: &[u8]) {
    let path = scratch::write("model.json", bytes);
    let uri = ModelUri::from_path(&path);
    let backends = Backends::new([Arc::new(JsonBackend) as Arc<dyn Backend>]);
    let models = match backends.open(&uri) {
        Ok(loaded) => loaded.models,
        Err(error) => {
            let text = error.to_string();
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(!text.contains("panicked"), "{text}");
            let place = text.strip_prefix(&format!("{}: ", path.display())).unwrap();
            if let Some((line, _)) =
                place.strip_prefix("line ").and_then(|rest| rest.split_once(':'))
            {
                let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
                assert!((1..=lines).contains(&line.parse().unwrap()), "{text} of {lines}");
            }
            return;
        }
    };
    // Another reader of JSON finds the same models in the file.
    let document: Value = serde_json::from_slice(bytes).unwrap();
    let is_model = ["kind", "runtime_coeffs"].iter().any(|name| document.get(name).is_some());
    assert!(!models.is_empty());
    for model in &models {
        let info = model.predictor.info();
        let source = match &model.image {
            Some(image) if !is_model => &document[image],
            _ => &document,
        };
        let mut session = model.predictor.session().unwrap();
        for question in &QUESTIONS {
            let answer = session.predict(question).unwrap();
            assert!(answer.to_array().iter().all(|value| value.is_finite()), "{answer:?}");
            compare(source, &info.inputs, question, &answer);
            assert_eq!(info.knows_distributions, source["kind"] == "quantiles");
            if info.knows_distributions {
                draws(source, &info.inputs, question, &mut *session);
            }
        }
        for question in &ODD {
            session.predict(question).unwrap();
            session.draw(question, &Uniforms::same(f64::NAN)).unwrap();
        }
        if model.image.is_some() && models.len() > 1 {
            let image = model.image.clone().unwrap();
            if let Ok(one) = format!("{}#{image}", path.display()).parse::<ModelUri>() {
                let opened = backends.open(&one).unwrap();
                let mut session = opened.models[0].predictor.session().unwrap();
                assert_eq!(opened.models.len(), 1);
                session.predict(&Features::IDLE).unwrap();
            }
        }
    }
}

/// Works the answer out from the document, where that is simple.
fn compare(model: &Value, inputs: &[Feature], question: &Features, answer: &RawPrediction) {
    let answer = answer.to_array();
    match model["kind"].as_str() {
        Some("constant") => {
            for (output, found) in Output::ALL.into_iter().zip(answer) {
                same(found, number(&model[output.name()]), 0.0);
            }
        }
        Some("linear") => {
            for (output, found) in Output::ALL.into_iter().zip(answer) {
                let coefficients = &model[output.name()];
                let intercept = number(&coefficients["intercept"]);
                let (mut sum, mut size) = (intercept, intercept.abs());
                for (name, coefficient) in coefficients.as_object().unwrap() {
                    if name != "intercept" {
                        let feature = Feature::named(name).unwrap();
                        assert!(inputs.contains(&feature));
                        let term = number(coefficient) * question.value(feature);
                        (sum, size) = (sum + term, size + term.abs());
                    }
                }
                same(found, sum, size);
            }
        }
        Some("table") => {
            let rows = model["rows"].as_array().unwrap();
            let rows: Vec<Vec<f64>> = rows
                .iter()
                .map(|row| row.as_array().unwrap().iter().map(number).collect())
                .collect();
            for (column, found) in answer.into_iter().enumerate() {
                let values = rows.iter().map(|row| row[inputs.len() + column]);
                let low = values.clone().fold(f64::INFINITY, f64::min);
                let high = values.fold(f64::NEG_INFINITY, f64::max);
                let rounding = 1e-14 * high;
                assert!(
                    (low - rounding..=high + rounding).contains(&found),
                    "{found}: {low} {high}"
                );
            }
            // A row that is asked for is the answer.
            for row in &rows {
                if inputs.iter().zip(row).all(|(input, value)| question.value(*input) == *value) {
                    for (found, expected) in answer.into_iter().zip(&row[inputs.len()..]) {
                        same(found, *expected, 0.0);
                    }
                }
            }
        }
        Some("quantiles") => {
            for (output, found) in Output::ALL.into_iter().zip(answer) {
                match bin(model, inputs, question, output) {
                    Err(number) => same(found, number, 0.0),
                    Ok(quantiles) => {
                        // Beyond the last level the line is that of a sigma of 2 at the most.
                        let most = 1e9 * quantiles[quantiles.len() - 1];
                        assert!((0.0..=most).contains(&found), "{found}: {quantiles:?}");
                    }
                }
            }
        }
        Some(other) => panic!("opened the kind {other}"),
        None => {
            let names = [("runtime_coeffs", 1e6), ("cpu_coeffs", 1.0), ("ram_coeffs", 1.0)];
            for ((name, factor), found) in names.into_iter().zip(answer) {
                let weights: Vec<f64> =
                    model[name].as_array().unwrap().iter().map(number).collect();
                assert_eq!(weights.len(), 6);
                let (mut sum, mut size) = (weights[5], weights[5].abs());
                for (weight, value) in weights.iter().zip(question.to_array()) {
                    (sum, size) = (sum + weight * value, size + (weight * value).abs());
                }
                same(found, factor * sum, factor * size);
            }
        }
    }
}

/// At the levels of the document a draw is the quantile of the document, and between them it does not
/// decrease.
fn draws(model: &Value, inputs: &[Feature], question: &Features, session: &mut dyn Session) {
    let levels: Vec<f64> = model["levels"].as_array().unwrap().iter().map(number).collect();
    for output in Output::ALL {
        let mut at = |level: f64| {
            let drawn = session.draw(question, &Uniforms::same(level)).unwrap();
            drawn.to_array()[output as usize]
        };
        match bin(model, inputs, question, output) {
            Err(number) => same(at(0.3), number, 0.0),
            Ok(quantiles) => {
                for (level, quantile) in levels.iter().zip(&quantiles) {
                    // This reader rounds a level to one of the two neighbours as well.
                    let (before, after) = (at(level.next_down()), at(level.next_up()));
                    let rounding = 1e-6 * quantile;
                    let around = before - rounding..=after + rounding;
                    assert!(around.contains(quantile), "{level}: {quantile} {before} {after}");
                }
                let drawn: Vec<f64> = (0..=50).map(|step| at(f64::from(step) / 50.0)).collect();
                for pair in drawn.windows(2) {
                    assert!(pair[0] * (1.0 - 1e-12) <= pair[1], "{drawn:?}");
                }
            }
        }
    }
}

/// The quantiles of an output in the bin of a question; else the number that it always is.
fn bin(
    model: &Value,
    inputs: &[Feature],
    question: &Features,
    output: Output,
) -> Result<Vec<f64>, f64> {
    let Some(lists) = model[output.name()].as_array() else {
        return Err(number(&model[output.name()]));
    };
    let mut bin = 0;
    if let Some(bins) = model["bins"].as_array() {
        for (feature, edges) in inputs.iter().zip(bins) {
            let edges: Vec<f64> = edges.as_array().unwrap().iter().map(number).collect();
            let inner = &edges[1..edges.len() - 1];
            let value = question.value(*feature);
            bin = bin * (edges.len() - 1) + inner.iter().filter(|edge| **edge <= value).count();
        }
    }
    Ok(lists[bin].as_array().unwrap().iter().map(number).collect())
}

/// `size` is that of the terms, which may cancel.
fn same(found: f64, expected: f64, size: f64) {
    // This reader rounds a number to one of the two neighbours.
    let allowed = 1e-14 * (expected.abs() + size) + f64::MIN_POSITIVE;
    assert!((found - expected).abs() <= allowed, "found {found}, expected {expected}");
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Null => 0.0,
        value => value.as_f64().unwrap(),
    }
}
