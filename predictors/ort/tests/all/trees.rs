//! The kernel for decision trees against ONNX Runtime: every comparison, every aggregate, inputs
//! on thresholds and next to them, float and double.

use hyperfake_predictor::{Backend, Features, Random};
use hyperfake_predictor_ort::OrtBackend;
use hyperfake_predictor_testkit::onnx::{Attribute, DataType, Dim, Model};
use hyperfake_predictor_tract::TreesBackend;

use crate::file::File;

const MODES: [&str; 6] =
    ["BRANCH_LEQ", "BRANCH_GT", "BRANCH_LT", "BRANCH_GTE", "BRANCH_EQ", "BRANCH_NEQ"];

/// Thresholds that inputs can meet, also between numbers of single precision.
const THRESHOLDS: [f32; 6] = [0.1, 3.0, 17.5, 1e6, 16_777_216.0, 8e9];

/// Complete trees of depth three whose leaves all vote on each target.
fn model(element: DataType, modes: &[&'static str], aggregate: &str, seed: u32) -> Model {
    let mut random = Random::new(seed.into(), 0);
    let (mut trees, mut nodes, mut features, mut kinds) = (vec![], vec![], vec![], vec![]);
    let (mut values, mut if_true, mut if_false) = (vec![], vec![], vec![]);
    let (mut missing, mut weights) = (vec![], vec![]);
    let (mut target_trees, mut target_nodes, mut targets) = (vec![], vec![], vec![]);
    for tree in 0..5 {
        for node in 0..15 {
            let leaf = node >= 7;
            trees.push(tree);
            nodes.push(node);
            features.push(random.below(5) as i64);
            kinds.push(if leaf { "LEAF" } else { random.choose(modes) });
            values.push(random.choose(&THRESHOLDS));
            if_true.push(if leaf { 0 } else { 2 * node + 1 });
            if_false.push(if leaf { 0 } else { 2 * node + 2 });
            missing.push(random.below(2) as i64);
            for target in (0..3).filter(|_| leaf) {
                target_trees.push(tree);
                target_nodes.push(node);
                targets.push(target);
                weights.push(random.below(1_000_000) as f32 / 8.0);
            }
        }
    }
    let attributes = [
        ("n_targets", Attribute::Int(3)),
        ("nodes_treeids", Attribute::Ints(&trees)),
        ("nodes_nodeids", Attribute::Ints(&nodes)),
        ("nodes_featureids", Attribute::Ints(&features)),
        ("nodes_modes", Attribute::Texts(&kinds)),
        ("nodes_values", Attribute::Floats(&values)),
        ("nodes_truenodeids", Attribute::Ints(&if_true)),
        ("nodes_falsenodeids", Attribute::Ints(&if_false)),
        ("nodes_missing_value_tracks_true", Attribute::Ints(&missing)),
        ("target_treeids", Attribute::Ints(&target_trees)),
        ("target_nodeids", Attribute::Ints(&target_nodes)),
        ("target_ids", Attribute::Ints(&targets)),
        ("target_weights", Attribute::Floats(&weights)),
        ("base_values", Attribute::Floats(&[1000.0, 0.5, 64.0])),
        ("aggregate_function", Attribute::Text(aggregate)),
    ];
    Model::new()
        .ir_version(9)
        .opset_of("ai.onnx.ml", 3)
        .input_of(element, "input", &[Dim::Unknown, Dim::Fixed(5)])
        .node_of("ai.onnx.ml", "TreeEnsembleRegressor", &["input"], &["output"], &attributes)
        .output("output", &[Dim::Unknown, Dim::Fixed(3)])
}

fn agrees(model: &Model, what: &str, seed: u32) {
    let file = File::of(model);
    let mut trees = TreesBackend.open(&file.uri()).unwrap().session().unwrap();
    let mut ort = OrtBackend::default().open(&file.uri()).unwrap().session().unwrap();
    let mut random = Random::new(seed.into(), 0);
    for _ in 0..200 {
        let features = Features::from_array(std::array::from_fn(|_| {
            let threshold = random.choose(&THRESHOLDS);
            let exact = f64::from(threshold);
            let near = [threshold.next_up(), threshold.next_down()].map(f64::from);
            let nearer = [exact.next_up(), exact.next_down()];
            random.choose(&[exact, exact, near[0], near[1], nearer[0], nearer[1], 0.0])
        }));
        let found = trees.predict(&features).unwrap().to_array();
        let expected = ort.predict(&features).unwrap().to_array();
        for (found, expected) in found.into_iter().zip(expected) {
            // ONNX Runtime adds in single precision.
            assert!(
                (found - expected).abs() <= 1e-6 * expected.abs(),
                "{what}: {found}, {expected} for {features:?}"
            );
        }
    }
}

pub(crate) fn trees_agree_with_onnx_runtime() {
    for seed in 0..6 {
        for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"] {
            for mode in MODES {
                let model = model(DataType::Float, &[mode], aggregate, seed);
                agrees(&model, &format!("{aggregate} {mode}"), seed);
            }
            agrees(&model(DataType::Float, &MODES, aggregate, seed), aggregate, seed);
            // In double precision, trees takes the first two.
            agrees(&model(DataType::Double, &MODES[..2], aggregate, seed), aggregate, seed);
        }
    }
}
