//! Verifies that a lowered network is the network in the file.
//!
//! The network is asked at a few hundred points: idle, within the range that the model was trained
//! on and around it, log-spaced from 1 to 10^18 in each column and in all of them. Each answer is
//! compared with [`Network::reference`], in double precision, and at the typical points and every
//! fourth of the others with tract, which is the slowest part of opening a file. Each output may
//! differ by
//!
//! - one part in 10,000 of the other answer, and
//! - 64 times the rounding noise that single precision has at that point, as
//!   [`Network::reference`] estimates it: where large numbers nearly cancel, the runtimes differ
//!   because they add in another order.
//!
//! Beyond 10^30 two answers of the same sign are the same. Where tract's answer is not a finite
//! number although double precision gives one, dense is compared with double precision alone; but
//! each output must be compared with tract at a quarter of the points at which tract is asked.

use hyperfake_predictor::{Domain, Error, Feature, Features, Result, agree};
use hyperfake_predictor_dense::{Reference, Runner};
use hyperfake_predictor_onnx::OnnxFile;

use crate::{lower::Lowered, session::TractSession};

/// Of tract's answer.
const RELATIVE: f64 = 1e-4;

/// In units of the estimated rounding noise.
const NOISE: f64 = 64.0;

/// Compares the runner of a network with tract.
///
/// # Errors
///
/// With the first point at which they differ, and by how much: `Unsupported` if double precision
/// says as tract does, `Conflict` if it does not, so that tract's answer is in doubt as well.
pub(crate) fn check(
    file: &OnnxFile,
    lowered: &Lowered,
    runner: &mut Runner,
    tract: &mut TractSession,
) -> Result<()> {
    let Lowered { network, columns } = lowered;
    let domain = Domain::of(&file.columns(), &file.trained);
    let typical = domain.typical().len();
    let width = file.signature.width();
    let (mut answer, mut expected) = (vec![0.0_f32; width], vec![0.0_f64; width]);
    let mut asked = 0;
    let mut compared = vec![0; width];
    for (index, features) in domain.thorough().into_iter().enumerate() {
        let inputs: Vec<f32> =
            columns.iter().map(|column| features.value(*column) as f32).collect();
        runner.run(&inputs, &mut answer);
        let is_asked = index < typical || index % 4 == 0;
        if is_asked {
            tract.run(&features, &mut expected)?;
        }
        asked += usize::from(is_asked);
        let Reference { values, noise } = network.reference(&inputs);
        for (column, reference) in values.into_iter().enumerate() {
            let found = f64::from(answer[column]);
            let floor = NOISE * f64::from(f32::EPSILON) / 2.0 * noise[column];
            let allowed = |expected: f64| RELATIVE * expected.abs() + floor;
            let usable = |tract: &f64| tract.is_finite() || !reference.is_finite();
            let expected = is_asked.then_some(expected[column]);
            let (source, expected) = match expected.filter(usable) {
                Some(tract) => {
                    compared[column] += 1;
                    ("tract", tract)
                }
                None => ("double precision", reference),
            };
            if agree(found, expected, allowed(expected)) {
                continue;
            }
            let message = format!(
                "dense answers {} = {found:e}, {source} {expected:e}, and {:e} may lie between \
                 them, at {}",
                file.signature.name(column),
                allowed(expected),
                described(&features, columns),
            );
            // If double precision confirms neither, one of them computes another graph than the
            // file's, and it is unknown which.
            let explained = agree(expected, reference, allowed(reference));
            return Err(if explained {
                Error::unsupported(message)
            } else {
                Error::conflict(message)
            });
        }
    }
    match compared.into_iter().enumerate().find(|(_, compared)| 4 * compared < asked) {
        None => Ok(()),
        Some((column, compared)) => Err(Error::unsupported(format!(
            "dense cannot be compared with tract, which gives a usable {} at {compared} of {asked} \
             points",
            file.signature.name(column)
        ))),
    }
}

pub(crate) fn described(features: &Features, columns: &[Feature]) -> String {
    let values = columns.iter().map(|column| format!("{column} = {:e}", features.value(*column)));
    values.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyperfake_predictor::{ErrorKind, ModelUri};
    use hyperfake_predictor_dense::{Isa, Network, Step};
    use hyperfake_predictor_testkit::reference;

    use super::*;
    use crate::{lower, open};

    /// The result of the check for a network that was lowered and then changed.
    fn outcome(change: impl FnOnce(&mut Vec<Step>)) -> Result<()> {
        let uri = ModelUri::from_path("a.onnx");
        let bytes = reference::Network::sample(&[24, 16], 2).to_onnx().to_bytes();
        let file = OnnxFile::parse(&uri, bytes)?;
        let plan = open::open(&file)?;
        let lower::Steps { mut steps, columns } = lower::steps(&file)?;
        change(&mut steps);
        let lowered = Lowered { network: Network::new(columns.len(), steps)?, columns };
        let mut tract = TractSession::new(Arc::clone(&plan))?;
        Isa::all().into_iter().try_for_each(|isa| {
            check(&file, &lowered, &mut lowered.network.runner(isa), &mut tract)
        })
    }

    fn weights(steps: &mut [Step], layer: usize) -> &mut Vec<f32> {
        let mut layers = steps.iter_mut().filter_map(|step| match step {
            Step::Dense(dense) => Some(&mut dense.weights),
            _ => None,
        });
        layers.nth(layer).unwrap()
    }

    #[test]
    fn a_correct_lowering_passes_on_every_instruction_set() {
        outcome(|_| {}).unwrap();
        outcome(|steps| {
            // Less than single precision notices.
            weights(steps, 1)[7] *= 1.0 + f32::EPSILON;
        })
        .unwrap();
    }

    #[test]
    fn a_wrong_lowering_is_caught_with_the_point_and_the_difference() {
        let error = outcome(|steps| weights(steps, 0)[3] *= 1.1).unwrap_err();
        // Tract computes the file's graph, and double precision the changed one.
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let error = error.to_string();
        assert!(error.starts_with("dense answers runtime_ns = "), "{error}");
        assert!(error.contains(" may lie between them, at request_bytes = "), "{error}");
        outcome(|steps| weights(steps, 1).swap(5, 6)).unwrap_err();
        outcome(|steps| weights(steps, 2)[40] += 0.01).unwrap_err();
        outcome(|steps| {
            steps.pop();
        })
        .unwrap_err();
        outcome(|steps| steps.swap(0, 1)).unwrap_err();
        outcome(|steps| {
            let last = steps.len() - 2;
            let Step::Add(shift) = &mut steps[last] else { panic!("{:?}", steps[last]) };
            shift[1] += 0.001;
        })
        .unwrap_err();
    }
}
