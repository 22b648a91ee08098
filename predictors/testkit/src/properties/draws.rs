//! Properties about draws: of models that know distributions, and of those that do not.

use std::sync::Arc;

use hyperfake_predictor::{Features, Output, Predictor, RawPrediction, Session, Uniforms, normal};

use super::answers::{ask, deterministic, same, session};
use crate::{
    case::{Failure, ModelCase, OrViolated, Outcome, violated},
    samples,
};

/// To the last bit.
pub(super) fn without_distributions_a_draw_is_the_prediction(case: &ModelCase<'_>) -> Outcome {
    let predictor = deterministic(case)?;
    if predictor.info().knows_distributions {
        return Ok(());
    }
    if case.model.draws.is_some() {
        return violated("the model does not say that it knows distributions");
    }
    let mut session = session(predictor.as_ref())?;
    for features in samples::ordinary() {
        let answer = ask(session.as_mut(), &features)?;
        for uniforms in uniforms() {
            same(&features, answer, draw(session.as_mut(), &features, &uniforms)?)?;
        }
        for quantile in quantiles(session.as_mut(), &features, &[0.0, 0.5, 1.0])? {
            same(&features, answer, quantile)?;
        }
    }
    Ok(())
}

/// To the tolerance, if the reference says what is drawn.
pub(super) fn draws_match_the_reference(case: &ModelCase<'_>) -> Outcome {
    let Some(predictor) = knowing(case)? else { return Ok(()) };
    let Some(draws) = &case.model.draws else { return Ok(()) };
    let mut session = session(predictor.as_ref())?;
    for features in samples::ordinary() {
        for uniforms in uniforms() {
            let drawn = draw(session.as_mut(), &features, &uniforms)?;
            case.model
                .compare(&features, drawn, draws(&features, &uniforms))
                .or_violated(&format!("drawing at {uniforms:?}"))?;
        }
    }
    Ok(())
}

/// To the last bit, in two sessions, with other draws and predictions in between.
pub(super) fn the_same_uniform_numbers_give_the_same_draw(case: &ModelCase<'_>) -> Outcome {
    let Some(predictor) = knowing(case)? else { return Ok(()) };
    let mut first = session(predictor.as_ref())?;
    let mut second = session(predictor.as_ref())?;
    let samples = samples::ordinary();
    let mut drawn = Vec::new();
    for (features, uniforms) in samples.iter().zip(uniforms().cycle()) {
        drawn.push((features, uniforms, draw(first.as_mut(), features, &uniforms)?));
        ask(second.as_mut(), features)?;
    }
    for (features, uniforms, answer) in drawn.into_iter().rev() {
        for session in [&mut first, &mut second] {
            same(features, answer, draw(session.as_mut(), features, &uniforms)?)?;
        }
    }
    Ok(())
}

/// Each number of a draw follows its own uniform number, upwards, and no other.
pub(super) fn a_number_grows_with_its_own_uniform_number_alone(case: &ModelCase<'_>) -> Outcome {
    const STEPS: u32 = 64;
    let Some(predictor) = knowing(case)? else { return Ok(()) };
    let mut session = session(predictor.as_ref())?;
    for features in samples::ordinary().iter().step_by(8) {
        for output in Output::ALL {
            let mut before: Option<RawPrediction> = None;
            for step in 0..=STEPS {
                let mut levels = [0.3; 3];
                levels[output as usize] = f64::from(step) / f64::from(STEPS);
                let [run_time, cpu, ram] = levels;
                let drawn = draw(session.as_mut(), features, &Uniforms { run_time, cpu, ram })?;
                for other in Output::ALL {
                    let Some(before) = before.map(|before| before.to_array()[other as usize])
                    else {
                        continue;
                    };
                    let after = drawn.to_array()[other as usize];
                    let fits = match other == output {
                        // Rounding may turn two numbers round that are as good as the same.
                        true => after >= before - case.model.tolerance * before.abs(),
                        false => after.to_bits() == before.to_bits(),
                    };
                    if !fits {
                        return violated(format!(
                            "{features:?}: {other} goes from {before} to {after} when the uniform \
                             number of {output} grows to {}",
                            levels[output as usize]
                        ));
                    }
                }
                before = Some(drawn);
            }
        }
    }
    Ok(())
}

/// To the last bit: the quantiles at some levels are the draws at them.
pub(super) fn quantiles_are_the_draws_at_their_levels(case: &ModelCase<'_>) -> Outcome {
    const LEVELS: [f64; 7] = [0.5, 0.0, 0.01, 0.123, 0.9, 0.999, 1.0];
    let Some(predictor) = knowing(case)? else { return Ok(()) };
    let mut session = session(predictor.as_ref())?;
    for features in samples::ordinary() {
        let found = quantiles(session.as_mut(), &features, &LEVELS)?;
        quantiles(session.as_mut(), &features, &[])?;
        for (level, quantile) in LEVELS.into_iter().zip(found) {
            let drawn = draw(session.as_mut(), &features, &Uniforms::same(level))?;
            same(&features, drawn, quantile).or_violated(&format!("at the level {level}"))?;
        }
    }
    Ok(())
}

/// To one part in a thousand, which is more than the sum is off. It is a sum over the normal scores of
/// the levels, because what is drawn near the level 1 may count for much.
pub(super) fn a_prediction_is_the_mean_of_all_draws(case: &ModelCase<'_>) -> Outcome {
    const STEPS: i32 = 500;
    const TOLERANCE: f64 = 1e-3;
    let Some(predictor) = knowing(case)? else { return Ok(()) };
    let mut session = session(predictor.as_ref())?;
    let scores = (-8 * STEPS..=8 * STEPS).map(|step| f64::from(step) / f64::from(STEPS));
    let levels: Vec<_> = scores.clone().map(normal::cdf).collect();
    let weights: Vec<_> = scores.map(|score| (-score * score / 2.0).exp()).collect();
    let all: f64 = weights.iter().sum();
    for features in samples::ordinary().iter().take(3) {
        let predicted = ask(session.as_mut(), features)?.to_array();
        let drawn = quantiles(session.as_mut(), features, &levels)?;
        for output in Output::ALL {
            let numbers = drawn.iter().map(|drawn| drawn.to_array()[output as usize]);
            let sum: f64 = numbers.zip(&weights).map(|(number, weight)| number * weight).sum();
            let (found, mean) = (predicted[output as usize], sum / all);
            // Also one that is no number.
            let is_near = (found - mean).abs() <= TOLERANCE * mean.abs().max(1e-3);
            if !is_near {
                return violated(format!(
                    "{features:?}: {output} is predicted as {found}, and the mean of all draws is \
                     {mean}"
                ));
            }
        }
    }
    Ok(())
}

/// The model, if it knows distributions.
fn knowing(case: &ModelCase<'_>) -> Result<Option<Arc<dyn Predictor>>, Failure> {
    case.open().map(|predictor| Some(predictor).filter(|model| model.info().knows_distributions))
}

/// The ends, the middle, and some in between, other ones for each output.
fn uniforms() -> impl Iterator<Item = Uniforms> + Clone {
    const ALMOST_1: f64 = 1.0 - f64::EPSILON / 2.0;
    [[0.0; 3], [0.5; 3], [ALMOST_1; 3], [0.1, 0.5, 0.9], [0.999, 0.005, 0.25], [0.33, 0.97, 0.02]]
        .into_iter()
        .map(|[run_time, cpu, ram]| Uniforms { run_time, cpu, ram })
}

fn draw(
    session: &mut dyn Session,
    features: &Features,
    uniforms: &Uniforms,
) -> Result<RawPrediction, Failure> {
    session
        .draw(features, uniforms)
        .or_violated(&format!("drawing at {uniforms:?} for {features:?}"))
}

fn quantiles(
    session: &mut dyn Session,
    features: &Features,
    levels: &[f64],
) -> Result<Vec<RawPrediction>, Failure> {
    let mut out = vec![RawPrediction::from_array([f64::NAN; 3]); levels.len()];
    session
        .quantiles(features, levels, &mut out)
        .or_violated(&format!("quantiles for {features:?}"))?;
    Ok(out)
}
