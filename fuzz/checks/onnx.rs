//! An ONNX file is refused in one line, or the backends that open it agree.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::sync::Arc;

use hyperfake_predictor::{Backend, Backends, Features, ModelUri, RawPrediction, Uniforms};
use hyperfake_predictor_tract::{DenseBackend, TractBackend, TreesBackend};

#[path = "questions.rs"]
mod questions;
#[path = "scratch.rs"]
mod scratch;

use questions::{ODD, QUESTIONS};

pub(crate) fn check(bytes: &[u8]) {
    let path = scratch::write("model.onnx", bytes);
    let uri = ModelUri::from_path(&path);
    let backends = Backends::new([
        Arc::new(DenseBackend) as Arc<dyn Backend>,
        Arc::new(TreesBackend),
        Arc::new(TractBackend),
    ]);
    let mut answers = Vec::new();
    for (name, opened) in backends.open_each(&uri).unwrap() {
        match opened {
            Ok(models) => {
                assert_eq!(models.len(), 1);
                answers.push((name, ask(&models[0].predictor)));
            }
            Err(error) => {
                let text = error.to_string();
                assert_eq!(text.lines().count(), 1, "{text}");
            }
        }
    }
    let find = |name: &str| answers.iter().find(|(opened, _)| *opened == name);
    for ((_, lowered), (_, tract)) in
        ["dense", "trees"].map(find).into_iter().flatten().zip(find("tract").into_iter().cycle())
    {
        compare(lowered, tract);
    }
    // The whole way of a file, with its trial at typical points. What serves was opened above.
    if let Ok(loaded) = backends.open(&uri) {
        let name = loaded.models[0].predictor.info().backend;
        assert!(answers.iter().any(|(opened, _)| *opened == name), "{name} serves");
    }
}

type Answers = Vec<Option<RawPrediction>>;

/// Nothing where the model's runtime fails. The same question has the same answer.
fn ask(predictor: &Arc<dyn hyperfake_predictor::Predictor>) -> Answers {
    let mut session = predictor.session().unwrap();
    let answers: Answers = questions().map(|question| session.predict(&question).ok()).collect();
    for question in &ODD {
        let _ = session.predict(question);
        let _ = session.draw(question, &Uniforms::same(0.99));
    }
    for (question, answer) in questions().zip(&answers).take(3) {
        let again = session.predict(&question).ok();
        let bits = |answer: &RawPrediction| answer.to_array().map(f64::to_bits);
        let nan = |answer: &RawPrediction| answer.to_array().iter().any(|value| value.is_nan());
        if answer.as_ref().is_some_and(nan) {
            continue;
        }
        assert_eq!(again.as_ref().map(bits), answer.as_ref().map(bits), "at {question:?}");
    }
    answers
}

/// Those of [`QUESTIONS`], and some within the ordinary ranges that no proof asks.
fn questions() -> impl Iterator<Item = Features> {
    let mut state = 7_u64;
    let mut unit = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let ordinary = (0..20).map(move |_| {
        Features::from_array([1e6, 40.0, 100.0, 32.0, 16e9].map(|most| most * unit()))
    });
    QUESTIONS.into_iter().chain(ordinary)
}

/// A wrong lowering differs in more than rounding, at more than a point or two. Where tract does
/// not answer with a number, there is nothing to compare with.
fn compare(lowered: &Answers, tract: &Answers) {
    for column in 0..3 {
        let value = |answer: &Option<RawPrediction>| answer.map(|answer| answer.to_array()[column]);
        let pairs: Vec<(f64, f64)> = lowered
            .iter()
            .zip(tract)
            .filter_map(|(lowered, tract)| Some((value(lowered)?, value(tract)?)))
            .filter(|(_, tract)| tract.abs() < 1e30)
            .collect();
        let size = pairs.iter().fold(0.0_f64, |size, (_, tract)| size.max(tract.abs()));
        let differs = |(lowered, tract): &&(f64, f64)| {
            let difference = (lowered - tract).abs();
            !(difference <= 0.01 * tract.abs() || difference <= 1e-3 * size)
        };
        let wrong: Vec<_> = pairs.iter().filter(differs).collect();
        assert!(
            wrong.len() < 3,
            "the lowered model and tract differ in column {column}: {wrong:?}"
        );
    }
}
