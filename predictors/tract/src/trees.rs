//! The backend for decision trees.

mod attributes;
mod ensemble;
mod lower;
mod reference;
mod rows;
mod verify;

use std::sync::Arc;

use hyperfake_predictor::{
    Backend, Error, ErrorKind, Features, Formats, ModelInfo, ModelUri, Predictor, RawPrediction,
    Result, Session,
};
use hyperfake_predictor_trees::{MAX_INPUTS, MAX_TARGETS};

use hyperfake_predictor_onnx::{Element, Signature};

use self::lower::Graph;
use crate::{read, without_panic};

/// Opens the `.onnx` files that hold decision trees, and runs them with a kernel of our own;
/// chosen with `trees:`.
///
/// A graph may consist of affine steps on the inputs (`Scaler`, and `Add`, `Sub`, `Mul`, `Div`
/// with constants), tree ensembles on what they give (`TreeEnsembleRegressor` and `TreeEnsemble`
/// of `ai.onnx.ml`: one with three targets, or several side by side that `Concat` joins), affine
/// steps on their answers, and what does nothing (`Identity`, `Cast`, `Flatten`, `Reshape`). That
/// is what skl2onnx makes of random forests, extra trees and gradient boosting of scikit-learn.
///
/// What it answers is compared with a plain evaluation of the file's own arrays when the file is
/// opened, also at the thresholds. Another graph, another post transform than `NONE`, or
/// membership tests are an `Unsupported` error that says where and why.
///
/// A comparison is made in the precision that the graph states, so that an input on a threshold
/// goes the way that ONNX says. The weights of the leaves are added up in double precision. A
/// feature that is NaN counts as missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct TreesBackend;

impl Backend for TreesBackend {
    fn formats(&self) -> &'static Formats {
        &Formats { name: "trees", schemes: &["trees"], extensions: &["onnx"] }
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let file = read(uri)?;
        let load = || {
            if file.signature.levels.is_some() {
                let message = "trees serves models that give three numbers, not quantiles";
                return Err(Error::unsupported(message));
            }
            let model = Model { graph: Graph::of(&file)?, signature: file.signature.clone() };
            verify::check(&file, &model)?;
            Ok(TreesPredictor { info: file.info(self.formats().name), model: Arc::new(model) })
        };
        let predictor = without_panic(ErrorKind::Invalid, load)
            .map_err(|error| error.at(uri.path().display()))?;
        Ok(Arc::new(predictor))
    }
}

/// A graph, and how it is fed.
#[derive(Debug)]
struct Model {
    graph: Graph,
    signature: Signature,
}

impl Model {
    fn answer(&self, features: &Features) -> RawPrediction {
        let Graph { columns, element, .. } = &self.graph;
        let values = features.to_array();
        let mut inputs = [0.0; MAX_INPUTS];
        for (input, column) in inputs.iter_mut().zip(columns) {
            let value = values[*column as usize];
            *input = match element {
                Element::F64 => value,
                _ => f64::from(value as f32),
            };
        }
        let inputs = &mut inputs[..columns.len()];
        for step in &self.graph.before {
            step.apply(inputs);
        }
        let mut compared = [0.0; MAX_INPUTS];
        for (compared, input) in compared.iter_mut().zip(&*inputs) {
            *compared = rounded_up(*input);
        }
        let mut targets = [[0.0; MAX_TARGETS]; 3];
        for (forest, targets) in self.graph.forests.iter().zip(&mut targets) {
            forest.run(&compared[..inputs.len()], &mut targets[..forest.targets()]);
        }
        let numbers = self.graph.answers.each_ref().map(|answer| {
            let mut value = [targets[answer.forest][answer.target]];
            for step in &answer.after {
                step.apply(&mut value);
            }
            value[0]
        });
        self.signature.prediction(numbers)
    }
}

/// The least single-precision number that is not below a number. Where `x` is in double
/// precision and `t` in single, `x <= t` and `rounded_up(x) <= t` are the same.
fn rounded_up(number: f64) -> f32 {
    let near = number as f32;
    if f64::from(near) < number { near.next_up() } else { near }
}

#[derive(Debug)]
struct TreesPredictor {
    info: ModelInfo,
    model: Arc<Model>,
}

impl Predictor for TreesPredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(TreesSession(Arc::clone(&self.model))))
    }
}

/// Has no buffers of its own: a walk through the trees needs none.
struct TreesSession(Arc<Model>);

impl Session for TreesSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        Ok(self.0.answer(features))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_up_keeps_every_comparison_with_a_threshold_in_single_precision() {
        for threshold in [0.1_f32, -0.1, 1.0, 0.0, -0.0, f32::MAX, f32::MIN, f32::INFINITY] {
            let exact = f64::from(threshold);
            for x in [exact, exact.next_up(), exact.next_down(), f64::NAN, 1e300, -1e300] {
                assert_eq!(rounded_up(x) <= threshold, x <= exact, "{x} {threshold}");
            }
        }
    }
}
