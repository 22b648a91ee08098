//! Engines are tried before they serve: at typical points, each answer finite and none an error,
//! and compared with the engine that counts as right.

use crate::{
    Error, ErrorKind, Feature, Features, Output, Predictor, RawPrediction, Result, Session, guarded,
};

/// Of the right answer.
const RELATIVE: f64 = 1e-3;

/// Of an output's median: where large numbers nearly cancel, engines differ because they add in
/// another order.
const FLOOR: f64 = 1e-6;

/// Larger numbers count as infinite.
const ENDLESS: f64 = 1e30;

/// The quantiles for which a model that knows distributions is asked.
const LEVELS: [f64; 5] = [0.01, 0.25, 0.5, 0.75, 0.99];

/// What an engine answered at some points.
pub(crate) struct Trial {
    /// Three numbers at each point, and three for each of [`LEVELS`] where the model knows them.
    answers: Vec<Result<Vec<f64>>>,
}

impl Trial {
    /// Asks a model at these points; a panic is an error.
    pub(crate) fn of(model: &dyn Predictor, points: &[Features]) -> Self {
        let engine = model.info().backend;
        let session = guarded(ErrorKind::Invalid, engine, || model.session());
        let answers = match session {
            Ok(mut session) => {
                let levels = if model.info().knows_distributions { &LEVELS[..] } else { &[] };
                points.iter().map(|point| ask(engine, &mut *session, point, levels)).collect()
            }
            Err(error) => vec![Err(error)],
        };
        Self { answers }
    }

    /// The first point at which it failed or gave something else than a finite number.
    pub(crate) fn first_fault(&self, points: &[Features]) -> Option<Error> {
        self.answers.iter().zip(points).find_map(|(answer, point)| match answer {
            Err(error) => {
                let error = error.without_subjects();
                Some(fault(format!("it fails at {}: {error}", described(point))))
            }
            Ok(answer) => {
                let mut numbers = answer.iter().enumerate();
                let (index, value) = numbers.find(|(_, value)| !value.is_finite())?;
                Some(fault(format!("its {} is {value} at {}", name(index), described(point))))
            }
        })
    }

    /// At how many points it failed or gave something else than finite numbers.
    pub(crate) fn faults(&self) -> usize {
        let sound = |answer: &&Result<Vec<f64>>| {
            answer.as_ref().is_ok_and(|answer| answer.iter().all(|value| value.is_finite()))
        };
        self.answers.len() - self.answers.iter().filter(sound).count()
    }

    /// Whether it gave three finite numbers at no point.
    pub(crate) fn is_useless(&self) -> bool {
        self.faults() == self.answers.len()
    }

    /// The first point at which it answers something else than the engine that counts as right.
    pub(crate) fn first_difference(
        &self,
        right: &Self,
        engine: &str,
        points: &[Features],
    ) -> Option<Error> {
        let width = right.answers.iter().flatten().map(Vec::len).max().unwrap_or_default();
        let floors: Vec<_> = (0..width).map(|index| FLOOR * right.median(index)).collect();
        let pairs = self.answers.iter().zip(&right.answers).zip(points);
        pairs.into_iter().find_map(|((found, expected), point)| {
            let (Ok(found), Ok(expected)) = (found, expected) else { return None };
            let mut numbers = found.iter().zip(expected).zip(&floors).enumerate();
            let (index, ((found, expected), _)) =
                numbers.find(|(_, ((found, expected), floor))| {
                    !agree(**found, **expected, RELATIVE * expected.abs() + **floor)
                })?;
            Some(fault(format!(
                "it answers {} = {found:e}, {engine} {expected:e}, at {}",
                name(index),
                described(point)
            )))
        })
    }

    fn median(&self, index: usize) -> f64 {
        let values = self.answers.iter().flatten().filter_map(|answer| answer.get(index));
        let mut values: Vec<_> =
            values.map(|value| value.abs()).filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    }
}

/// Whether two answers are the same, as far as `allowed` lets them differ.
#[must_use]
pub fn agree(found: f64, expected: f64, allowed: f64) -> bool {
    let endless = |value: f64| value.abs() >= ENDLESS;
    found == expected
        || (found - expected).abs() <= allowed
        || (found.is_nan() && expected.is_nan())
        || (endless(found) && endless(expected) && found.signum() == expected.signum())
}

fn ask(
    engine: &str,
    session: &mut dyn Session,
    point: &Features,
    levels: &[f64],
) -> Result<Vec<f64>> {
    guarded(ErrorKind::Invalid, engine, || {
        let mut answers = vec![RawPrediction::default(); 1 + levels.len()];
        answers[0] = session.predict(point)?;
        session.quantiles(point, levels, &mut answers[1..])?;
        Ok(answers.iter().flat_map(RawPrediction::to_array).collect())
    })
}

/// What a number of an answer is.
fn name(index: usize) -> String {
    let output = Output::ALL[index % Output::ALL.len()];
    match (index / Output::ALL.len()).checked_sub(1) {
        None => output.name().to_owned(),
        Some(level) => format!("{output} at the level {}", LEVELS[level]),
    }
}

fn described(features: &Features) -> String {
    let values = Feature::ALL.map(|feature| format!("{feature} = {}", features.value(feature)));
    values.join(", ")
}

fn fault(message: String) -> Error {
    Error::unsupported(message)
}
