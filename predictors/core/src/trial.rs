//! Engines are tried before they serve: at typical points, each answer finite and none an error,
//! and compared with the engine that counts as right.

use crate::{Error, ErrorKind, Feature, Features, Output, Predictor, Result, Session, guarded};

/// Of the right answer.
const RELATIVE: f64 = 1e-3;

/// Of an output's median: where large numbers nearly cancel, engines differ because they add in
/// another order.
const FLOOR: f64 = 1e-6;

/// Larger numbers count as infinite.
const ENDLESS: f64 = 1e30;

/// What an engine answered at some points.
pub(crate) struct Trial {
    answers: Vec<Result<[f64; 3]>>,
}

impl Trial {
    /// Asks a model at these points; a panic is an error.
    pub(crate) fn of(model: &dyn Predictor, points: &[Features]) -> Self {
        let engine = model.info().backend;
        let session = guarded(ErrorKind::Invalid, engine, || model.session());
        let answers = match session {
            Ok(mut session) => {
                points.iter().map(|point| ask(engine, &mut *session, point)).collect()
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
                let output = Output::ALL.into_iter().zip(answer);
                let (output, value) = output.into_iter().find(|(_, value)| !value.is_finite())?;
                Some(fault(format!("its {output} is {value} at {}", described(point))))
            }
        })
    }

    /// At how many points it failed or gave something else than finite numbers.
    pub(crate) fn faults(&self) -> usize {
        let sound = |answer: &&Result<[f64; 3]>| {
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
        name: &str,
        points: &[Features],
    ) -> Option<Error> {
        let floors: [f64; 3] = std::array::from_fn(|output| FLOOR * right.median(output));
        let pairs = self.answers.iter().zip(&right.answers).zip(points);
        pairs.into_iter().find_map(|((found, expected), point)| {
            let (Ok(found), Ok(expected)) = (found, expected) else { return None };
            let numbers = Output::ALL.into_iter().zip(found.iter().zip(expected)).zip(floors);
            let differs = |((_, (found, expected)), floor): &((Output, (&f64, &f64)), f64)| {
                !agree(**found, **expected, RELATIVE * expected.abs() + floor)
            };
            let ((output, (found, expected)), _) = numbers.into_iter().find(differs)?;
            Some(fault(format!(
                "it answers {output} = {found:e}, {name} {expected:e}, at {}",
                described(point)
            )))
        })
    }

    fn median(&self, output: usize) -> f64 {
        let values = self.answers.iter().filter_map(|answer| Some(answer.as_ref().ok()?[output]));
        let mut values: Vec<_> = values.map(f64::abs).filter(|value| value.is_finite()).collect();
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

fn ask(engine: &str, session: &mut dyn Session, point: &Features) -> Result<[f64; 3]> {
    guarded(ErrorKind::Invalid, engine, || session.predict(point)).map(|raw| raw.to_array())
}

fn described(features: &Features) -> String {
    let values = Feature::ALL.map(|feature| format!("{feature} = {}", features.value(feature)));
    values.join(", ")
}

fn fault(message: String) -> Error {
    Error::unsupported(message)
}
