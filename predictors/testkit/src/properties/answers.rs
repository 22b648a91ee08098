//! Properties about predictions.

use std::{
    sync::{Arc, Barrier},
    thread,
};

use hyperfake_predictor::{Features, Predictor, RawPrediction, Session};

use crate::{
    case::{Failure, ModelCase, OrViolated, Outcome, violated},
    samples,
};

/// The model computes the function that it was made from; a random one does so on average.
pub(super) fn answers_match_the_reference(case: &ModelCase<'_>) -> Outcome {
    let predictor = case.open()?;
    let mut session = session(predictor.as_ref())?;
    for features in samples::ordinary() {
        matches_the_reference(case, predictor.as_ref(), session.as_mut(), &features)?;
    }
    Ok(())
}

/// To the tolerance, for these features.
pub(super) fn matches_the_reference(
    case: &ModelCase<'_>,
    predictor: &dyn Predictor,
    session: &mut dyn Session,
    features: &Features,
) -> Outcome {
    const DRAWS: u32 = 10_000;
    let mut answer = ask(session, features)?;
    if !predictor.info().deterministic {
        let mut sums = answer.to_array();
        for _ in 1..DRAWS {
            let draw = ask(session, features)?.to_array();
            sums.iter_mut().zip(draw).for_each(|(sum, value)| *sum += value);
        }
        answer = RawPrediction::from_array(sums.map(|sum| sum / f64::from(DRAWS)));
    }
    case.model.compare(features, answer, (case.model.function)(features))
}

/// To the last bit, with other questions in between.
pub(super) fn the_same_question_has_the_same_answer(case: &ModelCase<'_>) -> Outcome {
    let samples = samples::ordinary();
    let predictor = deterministic(case)?;
    let mut session = session(predictor.as_ref())?;
    let first = ask_all(session.as_mut(), &samples)?;
    for (features, first) in samples.iter().zip(first).rev() {
        for _ in 0..2 {
            same(features, first, ask(session.as_mut(), features)?)?;
        }
    }
    Ok(())
}

/// To the last bit, with both sessions in use at the same time.
pub(super) fn two_sessions_give_the_same_answers(case: &ModelCase<'_>) -> Outcome {
    let predictor = deterministic(case)?;
    let mut first = session(predictor.as_ref())?;
    let mut second = session(predictor.as_ref())?;
    // From here on the sessions alone keep the model alive.
    drop(predictor);
    for features in samples::ordinary() {
        let answer = ask(first.as_mut(), &features)?;
        same(&features, answer, ask(second.as_mut(), &features)?)?;
    }
    Ok(())
}

/// To the last bit, with a session for each thread, made there or handed over to it.
pub(super) fn many_threads_get_the_same_answers(case: &ModelCase<'_>) -> Outcome {
    const THREADS: usize = 8;
    const ROUNDS: usize = 8;
    let samples = samples::ordinary();
    let predictor = deterministic(case)?;
    let expected = ask_all(session(predictor.as_ref())?.as_mut(), &samples)?;
    // All threads start together, so that they overlap.
    let start = Barrier::new(THREADS);
    let work = |index: usize, handed_over: Option<Box<dyn Session>>| {
        let made = handed_over.map_or_else(|| session(predictor.as_ref()), Ok);
        start.wait();
        let mut made = made?;
        for step in 0..ROUNDS * samples.len() {
            // Each thread is somewhere else in the list.
            let at = (step + index * samples.len() / THREADS) % samples.len();
            same(&samples[at], expected[at], ask(made.as_mut(), &samples[at])?)?;
        }
        Ok(())
    };
    let mut handed_over = Vec::new();
    for index in 0..THREADS {
        let even = index % 2 == 0;
        handed_over.push(even.then(|| session(predictor.as_ref())).transpose()?);
    }
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = handed_over
            .into_iter()
            .enumerate()
            .map(|(index, session)| scope.spawn(move || work(index, session)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| violated("a thread panicked while it predicted"))
        })
    })
}

/// Batches of every kind of size, empty ones included, to the tolerance.
pub(super) fn a_batch_answers_as_one_by_one(case: &ModelCase<'_>) -> Outcome {
    let samples = samples::ordinary();
    let predictor = deterministic(case)?;
    let mut session = session(predictor.as_ref())?;
    let singles = ask_all(session.as_mut(), &samples)?;
    for size in [1, 0, 2, 3, 7, 64, 1] {
        let nothing = RawPrediction::from_array([f64::NAN; 3]);
        let mut answers = vec![nothing; size];
        session
            .predict_batch(&samples[..size], &mut answers)
            .or_violated(&format!("a batch of {size}"))?;
        for ((features, answer), single) in samples.iter().zip(answers).zip(&singles) {
            case.model
                .compare(features, answer, *single)
                .or_violated(&format!("asking in a batch of {size} what was asked one by one"))?;
        }
    }
    same(&samples[0], singles[0], ask(session.as_mut(), &samples[0])?)
}

/// Odd features may be an error or any answer, but not a panic, and not the end of the session.
pub(super) fn odd_features_leave_the_session_usable(case: &ModelCase<'_>) -> Outcome {
    let samples = samples::ordinary();
    let predictor = case.open()?;
    let mut session = session(predictor.as_ref())?;
    let expected = ask_all(session.as_mut(), &samples)?;
    for (index, odd) in samples::odd().iter().enumerate() {
        // Any answer is allowed: the worker clamps it.
        let _ = session.predict(odd);
        let at = index % samples.len();
        let again = ask(session.as_mut(), &samples[at])
            .or_violated(&format!("asking again after {odd:?}"))?;
        if predictor.info().deterministic {
            same(&samples[at], expected[at], again)
                .or_violated(&format!("asking again after {odd:?}"))?;
        }
    }
    Ok(())
}

/// The model, if its answers can be compared with each other.
pub(super) fn deterministic(case: &ModelCase<'_>) -> Result<Arc<dyn Predictor>, Failure> {
    let predictor = case.open()?;
    if predictor.info().deterministic {
        return Ok(predictor);
    }
    Err(Failure::Skipped("the model says that its answers are random".to_owned()))
}

pub(super) fn session(predictor: &dyn Predictor) -> Result<Box<dyn Session>, Failure> {
    predictor.session().or_violated("making a session")
}

pub(super) fn ask(
    session: &mut dyn Session,
    features: &Features,
) -> Result<RawPrediction, Failure> {
    session.predict(features).or_violated(&format!("predicting {features:?}"))
}

fn ask_all(session: &mut dyn Session, samples: &[Features]) -> Result<Vec<RawPrediction>, Failure> {
    samples.iter().map(|features| ask(session, features)).collect()
}

/// To the last bit; unlike `==`, a NaN is the same as itself.
pub(super) fn same(features: &Features, first: RawPrediction, second: RawPrediction) -> Outcome {
    if first.to_array().map(f64::to_bits) == second.to_array().map(f64::to_bits) {
        return Ok(());
    }
    violated(format!("{features:?}: found {second:?} after {first:?}"))
}
