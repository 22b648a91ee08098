//! Verifies that lowered trees are the trees in the file.
//!
//! What is served and a plain evaluation of the file's arrays are asked at the points at which a
//! dense network is compared with tract, and for up to 256 branches at the input that meets
//! the threshold and the numbers next to it. Answers may differ by the rounding of double
//! precision in the sums, which single precision may round the other way: one part in a million of
//! the answer, and 1e-12 of the largest answer at any of the points.

use hyperfake_predictor::{Domain, Error, Features, Output, Result};
use hyperfake_predictor_onnx::{Element, OnnxFile};

use super::{Model, reference::Reference};
use crate::verify::described;

/// Branches at whose thresholds is asked, when there are few trees and when there are many.
const BRANCHES: (usize, usize) = (64, 256);

/// Divided by the number of rows: about how many comparisons all that asking may take.
const COMPARISONS: usize = 1 << 21;

/// Compares what is served with the file.
///
/// # Errors
///
/// `Unsupported` with the first point at which they differ.
pub(super) fn check(file: &OnnxFile, model: &Model) -> Result<()> {
    let reference = Reference::of(file).map_err(Error::unsupported)?;
    let columns = &model.graph.columns;
    let mut asked = Domain::of(&file.columns(), &file.trained).thorough();
    asked.extend(thresholds(model, &reference, &asked));
    let mut compared = Vec::with_capacity(asked.len());
    let mut largest = [0.0_f64; 3];
    for features in asked {
        let inputs: Vec<f64> = columns.iter().map(|column| features.value(*column)).collect();
        let expected = reference.answer(&inputs).map_err(Error::unsupported)?;
        let expected = expected.first_chunk().copied().unwrap_or([f64::NAN; 3]);
        let expected = file.signature.prediction(expected).to_array();
        for (largest, expected) in largest.iter_mut().zip(&expected) {
            *largest = largest.max(expected.abs());
        }
        compared.push((features, model.answer(&features).to_array(), expected));
    }
    for (features, found, expected) in compared {
        for (column, output) in Output::ALL.into_iter().enumerate() {
            let expected = expected[column];
            let allowed = 1e-6 * expected.abs() + 1e-12 * largest[column];
            let found = found[column];
            let same = found == expected
                || (found.is_nan() && expected.is_nan())
                || (found - expected).abs() <= allowed;
            if !same {
                return Err(Error::unsupported(format!(
                    "trees answers {output} = {found:e}, the file's own arrays {expected:e}, at {}",
                    described(&features, columns),
                )));
            }
        }
    }
    Ok(())
}

/// Inputs on thresholds and next to them; the other columns are those of the usual points.
fn thresholds(model: &Model, reference: &Reference<'_>, usual: &[Features]) -> Vec<Features> {
    let branches: Vec<_> = reference.trees().flat_map(|trees| trees.branches()).collect();
    let count = (COMPARISONS / branches.len().max(1)).clamp(BRANCHES.0, BRANCHES.1);
    let step = branches.len().div_ceil(count).max(1);
    let mut asked = Vec::new();
    for (index, branch) in branches.into_iter().step_by(step).enumerate() {
        let steps = model.graph.before.iter().rev();
        let input = steps.fold(branch.value, |value, step| step.undone(branch.feature, value));
        let near = match model.graph.element {
            Element::F32 => {
                let input = input as f32;
                [input, input.next_up(), input.next_down()].map(f64::from)
            }
            _ => [input, input.next_up(), input.next_down()],
        };
        for (shift, input) in near.into_iter().enumerate() {
            let mut values = usual[(3 * index + shift) % usual.len()].to_array();
            values[model.graph.columns[branch.feature] as usize] = input;
            asked.push(Features::from_array(values));
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use hyperfake_predictor::ModelUri;
    use hyperfake_predictor_trees::{
        Aggregate, Branch, Child, Comparison, Ensemble, Forest, Leaf, Vote,
    };

    use hyperfake_predictor::ErrorKind;

    use super::*;
    use crate::trees::lower::{Graph, Step};

    const FOREST: &[u8] = include_bytes!("../../tests/models/forest.onnx");

    /// The result of the check for a forest that was lowered and then changed.
    fn outcome(change: impl FnOnce(&mut Graph)) -> Result<()> {
        let file = OnnxFile::parse(&ModelUri::from_path("a.onnx"), FOREST.to_vec())?;
        let mut graph = Graph::of(&file)?;
        change(&mut graph);
        check(&file, &Model { graph, signature: file.signature.clone() })
    }

    #[test]
    fn a_correct_lowering_passes() {
        outcome(|_| {}).unwrap();
    }

    #[test]
    fn a_wrong_lowering_is_caught_with_the_point_and_the_answers() {
        let error = outcome(|graph| graph.answers.swap(0, 2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let error = error.to_string();
        assert!(error.starts_with("trees answers runtime_ns = "), "{error}");
        assert!(error.contains(", the file's own arrays "), "{error}");
        outcome(|graph| graph.answers[1].after.push(Step::Add(vec![0.001]))).unwrap_err();
        outcome(|graph| graph.before.push(Step::Mul(vec![1.0 + 1e-6; 5]))).unwrap_err();
        let leaf = |weight| Leaf { votes: (0..3).map(|target| Vote { target, weight }).collect() };
        outcome(|graph| {
            graph.forests[0] = Forest::new(&Ensemble {
                inputs: 5,
                targets: 3,
                aggregate: Aggregate::Sum,
                base_values: Vec::new(),
                roots: vec![Child::Branch(0)],
                branches: vec![Branch {
                    input: 0,
                    comparison: Comparison::LessOrEqual,
                    threshold: 0.5,
                    missing_is_true: false,
                    if_true: Child::Leaf(0),
                    if_false: Child::Leaf(1),
                }],
                leaves: vec![leaf(1.0), leaf(2.0)],
            })
            .unwrap();
        })
        .unwrap_err();
    }
}
