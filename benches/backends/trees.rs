//! The forests that take the place of the network in the second table: complete trees with random
//! thresholds, as large as the usual random forest and gradient boosting.

use std::{fs, path::Path};

use hyperfake_predictor::Backends;
use hyperfake_predictor_testkit::onnx::{Attribute, Dim, Model};
use serde::Serialize;

use crate::{
    forms::Form,
    measure::{self, median, median_ratio},
    network::INPUTS,
    work::{Contestant, Way},
};

/// What is promised: ONNX Runtime takes as many times as long.
pub(crate) const PROMISED: f64 = 2.0;

/// What was found out about one model.
#[derive(Debug, Serialize)]
pub(crate) struct TreesRow {
    pub(crate) model: &'static str,
    pub(crate) trees_ns: f64,
    /// Nothing without ONNX Runtime.
    pub(crate) ort_ns: Option<f64>,
    /// The median of the ratios within the rounds.
    pub(crate) ort_to_trees: Option<f64>,
}

/// Measures each model with both backends, in turns.
///
/// # Panics
///
/// When the two answer differently.
pub(crate) fn rows(folder: &Path, backends: &Backends, onnx_runtime: bool) -> Vec<TreesRow> {
    let models = [
        ("random forest, 100 trees of depth 8, 3 targets", forest(100, 8)),
        ("gradient boosting, 3 × 100 trees of depth 3", boosting(100, 3)),
    ];
    models.map(|(name, model)| row(name, &model, folder, backends, onnx_runtime)).into()
}

fn row(
    model: &'static str,
    file: &Model,
    folder: &Path,
    backends: &Backends,
    onnx_runtime: bool,
) -> TreesRow {
    let path = folder.join("trees.onnx");
    fs::write(&path, file.to_bytes()).unwrap();
    let form = |backend: &'static str| {
        let uri = format!("{backend}:{}", path.display());
        Contestant::form(&Form { backend, model, uri, skipped: None }, backends)
    };
    let mut contestants = vec![form("trees")];
    contestants.extend(onnx_runtime.then(|| form("ort")));
    for features in INPUTS.iter() {
        let answers: Vec<_> =
            contestants.iter().map(|contestant| contestant.answer(features).to_array()).collect();
        for (first, other) in answers[0].iter().zip(answers.last().unwrap()) {
            assert!((first / other - 1.0).abs() < 1e-5, "{model}: {answers:?} to {features:?}");
        }
    }
    let times = measure::times(&contestants, Way::OneByOne);
    let ort = times.get(1);
    TreesRow {
        model,
        trees_ns: median(&times[0]),
        ort_ns: ort.map(|ort| median(ort)),
        ort_to_trees: ort.map(|ort| median_ratio(ort, &times[0])),
    }
}

/// The arrays of one ensemble.
#[derive(Default)]
struct Arrays {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<&'static str>,
    values: Vec<f32>,
    if_true: Vec<i64>,
    if_false: Vec<i64>,
    target_trees: Vec<i64>,
    target_nodes: Vec<i64>,
    targets: Vec<i64>,
    weights: Vec<f32>,
}

impl Arrays {
    /// Complete trees, their nodes level by level, over the domain of [`INPUTS`].
    fn of(trees: usize, depth: u32, targets: &[i64], random: &mut fastrand::Rng) -> Self {
        const HIGHEST: [f32; 5] = [1e6, 100.0, 500.0, 512.0, 137_438_953_472.0];
        let mut arrays = Self::default();
        let branches = (1_i64 << depth) - 1;
        for tree in 0..trees as i64 {
            for node in 0..2 * branches + 1 {
                let (feature, leaf) = (random.usize(..5), node >= branches);
                arrays.trees.push(tree);
                arrays.nodes.push(node);
                arrays.features.push(feature as i64);
                arrays.modes.push(if leaf { "LEAF" } else { "BRANCH_LEQ" });
                arrays.values.push(HIGHEST[feature] * random.f32());
                arrays.if_true.push(if leaf { 0 } else { 2 * node + 1 });
                arrays.if_false.push(if leaf { 0 } else { 2 * node + 2 });
                for target in targets.iter().filter(|_| leaf) {
                    arrays.target_trees.push(tree);
                    arrays.target_nodes.push(node);
                    arrays.targets.push(*target);
                    arrays.weights.push(1.0 + random.f32());
                }
            }
        }
        arrays
    }

    fn node(&self, model: Model, targets: i64, output: &str) -> Model {
        let attributes = [
            ("n_targets", Attribute::Int(targets)),
            ("nodes_treeids", Attribute::Ints(&self.trees)),
            ("nodes_nodeids", Attribute::Ints(&self.nodes)),
            ("nodes_featureids", Attribute::Ints(&self.features)),
            ("nodes_modes", Attribute::Texts(&self.modes)),
            ("nodes_values", Attribute::Floats(&self.values)),
            ("nodes_truenodeids", Attribute::Ints(&self.if_true)),
            ("nodes_falsenodeids", Attribute::Ints(&self.if_false)),
            ("target_treeids", Attribute::Ints(&self.target_trees)),
            ("target_nodeids", Attribute::Ints(&self.target_nodes)),
            ("target_ids", Attribute::Ints(&self.targets)),
            ("target_weights", Attribute::Floats(&self.weights)),
        ];
        model.node_of("ai.onnx.ml", "TreeEnsembleRegressor", &["input"], &[output], &attributes)
    }
}

fn begun() -> Model {
    Model::new().opset_of("ai.onnx.ml", 3).input("input", &[Dim::Unknown, Dim::Fixed(5)])
}

/// One ensemble of three targets.
fn forest(trees: usize, depth: u32) -> Model {
    let arrays = Arrays::of(trees, depth, &[0, 1, 2], &mut fastrand::Rng::with_seed(1));
    arrays.node(begun(), 3, "output").output("output", &[Dim::Unknown, Dim::Fixed(3)])
}

/// An ensemble for each target, joined as skl2onnx joins them.
fn boosting(trees: usize, depth: u32) -> Model {
    let mut random = fastrand::Rng::with_seed(2);
    let mut model = begun().initializer("column", &[2], &[-1_i64, 1]);
    for (raw, column) in [("raw0", "column0"), ("raw1", "column1"), ("raw2", "column2")] {
        model = Arrays::of(trees, depth, &[0], &mut random).node(model, 1, raw).node(
            "Reshape",
            &[raw, "column"],
            &[column],
            &[],
        );
    }
    model
        .node("Concat", &["column0", "column1", "column2"], &["output"], &[("axis", 1.into())])
        .output("output", &[Dim::Unknown, Dim::Fixed(3)])
}
