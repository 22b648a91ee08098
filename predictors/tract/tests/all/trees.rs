//! Decision trees: the properties of every backend, each form in which trees are written, and what
//! is refused.

mod refused;

use std::sync::Arc;

use hyperfake_predictor::{Backend, Backends, ErrorKind, Features, RawPrediction};
use hyperfake_predictor_testkit::{
    Conformance, ReferenceModel,
    onnx::{Attribute, DataType, Dim, Model},
    reference::LINEAR,
};
use hyperfake_predictor_tract::{DenseBackend, TractBackend, TreesBackend};

use crate::file::File;

const ML: &str = "ai.onnx.ml";
const FREE_FIVE: &[Dim<'_>] = &[Dim::Unknown, Dim::Fixed(5)];
const FREE_THREE: &[Dim<'_>] = &[Dim::Unknown, Dim::Fixed(3)];

/// The attributes of a `TreeEnsembleRegressor`.
#[derive(Clone)]
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
    base_values: Vec<f32>,
    aggregate: &'static str,
    count: i64,
}

/// Two trees of three targets, whose reference function is [`expected`].
fn arrays() -> Arrays {
    Arrays {
        trees: vec![0, 0, 0, 0, 0, 1, 1, 1],
        nodes: vec![0, 1, 2, 3, 4, 0, 1, 2],
        features: vec![0, 0, 2, 0, 0, 3, 0, 0],
        modes: vec!["BRANCH_LEQ", "LEAF", "BRANCH_GT", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "LEAF"],
        values: vec![4e5, 0.0, 50.0, 0.0, 0.0, 16.0, 0.0, 0.0],
        if_true: vec![1, 0, 3, 0, 0, 1, 0, 0],
        if_false: vec![2, 0, 4, 0, 0, 2, 0, 0],
        target_trees: vec![0, 0, 0, 0, 0, 0, 0, 0, 1, 1],
        target_nodes: vec![1, 1, 1, 3, 3, 3, 4, 4, 1, 2],
        targets: vec![0, 1, 2, 0, 1, 2, 0, 1, 2, 0],
        weights: vec![1e6, 0.25, 8e6, 5e6, 0.75, 9e6, 3e6, 0.5, 1e6, 2e6],
        base_values: vec![500.0, 0.125, 1024.0],
        aggregate: "SUM",
        count: 3,
    }
}

/// What [`arrays`] say, written by hand.
fn expected(features: &Features) -> RawPrediction {
    let [mut runtime, mut cpu, mut ram] = if features.request_bytes <= 4e5 {
        [1e6, 0.25, 8e6]
    } else if features.active_calls > 50.0 {
        [5e6, 0.75, 9e6]
    } else {
        [3e6, 0.5, 0.0]
    };
    if (features.worker_cpu_cores as f32) < 16.0 {
        ram += 1e6
    } else {
        runtime += 2e6
    }
    (runtime, cpu, ram) = (runtime + 500.0, cpu + 0.125, ram + 1024.0);
    RawPrediction::from_array([runtime, cpu, ram])
}

/// Adds the trees as a node from `input` to `output`.
fn trees(model: Model, arrays: &Arrays, input: &str, output: &str) -> Model {
    let attributes = [
        ("n_targets", Attribute::Int(arrays.count)),
        ("nodes_treeids", Attribute::Ints(&arrays.trees)),
        ("nodes_nodeids", Attribute::Ints(&arrays.nodes)),
        ("nodes_featureids", Attribute::Ints(&arrays.features)),
        ("nodes_modes", Attribute::Texts(&arrays.modes)),
        ("nodes_values", Attribute::Floats(&arrays.values)),
        ("nodes_truenodeids", Attribute::Ints(&arrays.if_true)),
        ("nodes_falsenodeids", Attribute::Ints(&arrays.if_false)),
        ("target_treeids", Attribute::Ints(&arrays.target_trees)),
        ("target_nodeids", Attribute::Ints(&arrays.target_nodes)),
        ("target_ids", Attribute::Ints(&arrays.targets)),
        ("target_weights", Attribute::Floats(&arrays.weights)),
        ("base_values", Attribute::Floats(&arrays.base_values)),
        ("aggregate_function", Attribute::Text(arrays.aggregate)),
        ("post_transform", Attribute::Text("NONE")),
    ];
    model.node_of(ML, "TreeEnsembleRegressor", &[input], &[output], &attributes)
}

fn begun() -> Model {
    Model::new().opset_of(ML, 3).input("input", FREE_FIVE)
}

fn model(arrays: &Arrays) -> Model {
    trees(begun(), arrays, "input", "output").output("output", FREE_THREE)
}

fn answer(model: &Model, features: &Features) -> [f64; 3] {
    let file = File::of(model);
    let predictor = TreesBackend.open(&file.uri()).unwrap();
    assert_eq!(predictor.info().backend, "trees");
    predictor.session().unwrap().predict(features).unwrap().to_array()
}

/// Why trees does not open a file, after its path.
fn refusal(model: &Model) -> String {
    let file = File::of(model);
    let error = TreesBackend.open(&file.uri()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text.strip_prefix(&format!("{}: ", file.path.display())).unwrap().to_owned()
}

/// The same, of changed arrays, after the name of the node.
fn refusal_of(change: impl FnOnce(&mut Arrays)) -> String {
    let mut changed = arrays();
    change(&mut changed);
    let text = refusal(&model(&changed));
    let prefix = "trees cannot lower node 'node_output' (TreeEnsembleRegressor): ";
    text.strip_prefix(prefix).unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn every_property_holds() {
    let file = File::of(&model(&arrays()));
    let fixed = File::of(
        &trees(
            Model::new().opset_of(ML, 3).input("input", &[Dim::Fixed(1), Dim::Fixed(5)]),
            &arrays(),
            "input",
            "output",
        )
        .output("output", &[Dim::Fixed(1), Dim::Fixed(3)]),
    );
    Conformance::of(TreesBackend)
        .model(ReferenceModel::new(file.uri(), expected, 1e-6))
        .model(ReferenceModel::new(fixed.uri(), expected, 1e-6))
        .run();
}

/// A feature goes the way that the comparison says, on the threshold and next to it.
#[test]
fn a_feature_on_a_threshold_takes_the_branch_that_onnx_defines() {
    let file = model(&arrays());
    let asked = |request_bytes, active_calls, worker_cpu_cores| {
        answer(&file, &Features { request_bytes, active_calls, worker_cpu_cores, ..Features::IDLE })
    };
    // At most 400,000: the first leaf. The next number of single precision: another.
    assert_eq!(asked(4e5, 0.0, 0.0), [1_000_500.0, 0.375, 9_001_024.0]);
    assert_eq!(asked(400_000.031_25, 0.0, 0.0), [3_000_500.0, 0.625, 1_001_024.0]);
    // More than 50.
    assert_eq!(asked(5e5, 50.0, 0.0), [3_000_500.0, 0.625, 1_001_024.0]);
    assert_eq!(asked(5e5, 51.0, 0.0), [5_000_500.0, 0.875, 10_001_024.0]);
    // Less than 16.
    assert_eq!(asked(4e5, 0.0, 16.0), [3_000_500.0, 0.375, 8_001_024.0]);
}

/// The votes on run time are 1 ms and 3 ms, on CPU 0.25 and on RAM 8 MB and 1 MB; two trees.
#[test]
fn every_aggregate_is_computed_before_base_values_are_added() {
    let mut all = arrays();
    // Each leaf of the second tree votes on everything.
    all.target_trees.extend([1, 1, 1, 1]);
    all.target_nodes.extend([1, 1, 2, 2]);
    all.targets.extend([0, 1, 1, 2]);
    all.weights.extend([3e6, 0.25, 0.25, 1e6]);
    for (aggregate, expected) in [
        ("SUM", [4_000_500.0, 0.625, 9_001_024.0]),
        ("AVERAGE", [2_000_500.0, 0.375, 4_501_024.0]),
        ("MIN", [1_000_500.0, 0.375, 1_001_024.0]),
        ("MAX", [3_000_500.0, 0.375, 8_001_024.0]),
    ] {
        all.aggregate = aggregate;
        if matches!(aggregate, "MIN" | "MAX") {
            // The leaf that does not vote on RAM would leave no least.
            all.target_trees.push(0);
            all.target_nodes.push(4);
            all.targets.push(2);
            all.weights.push(4e6);
        }
        assert_eq!(answer(&model(&all), &Features::IDLE), expected, "{aggregate}");
    }
}

/// The first tree of [`arrays`] alone, of one target.
fn one_target(target: i64) -> Arrays {
    let mut one = arrays();
    let kept: Vec<usize> =
        (0..one.targets.len()).filter(|row| one.targets[*row] == target).collect();
    one.weights = kept.iter().map(|row| one.weights[*row]).collect();
    one.target_trees = kept.iter().map(|row| one.target_trees[*row]).collect();
    one.target_nodes = kept.iter().map(|row| one.target_nodes[*row]).collect();
    one.targets = vec![0; kept.len()];
    one.base_values = vec![one.base_values[target as usize]];
    one.count = 1;
    one
}

#[test]
fn three_ensembles_of_one_target_are_joined_in_the_order_of_the_concat() {
    for names in [["a", "b", "c"], ["c", "a", "b"]] {
        let mut model = begun().initializer("column", &[2], &[-1_i64, 1]);
        for (target, name) in ["a", "b", "c"].into_iter().enumerate() {
            let raw = format!("raw_{name}");
            model = trees(model, &one_target(target as i64), "input", &raw).node(
                "Reshape",
                &[&raw, "column"],
                &[name],
                &[],
            );
        }
        let model = model
            .node("Concat", &names, &["joined"], &[("axis", Attribute::Int(1))])
            .node("Cast", &["joined"], &["output"], &[("to", Attribute::Int(1))])
            .output("output", FREE_THREE);
        let all = expected(&Features::IDLE).to_array();
        let order = names.map(|name| all[["a", "b", "c"].iter().position(|n| *n == name).unwrap()]);
        assert_eq!(answer(&model, &Features::IDLE), order);
    }
}

/// `(x - 100) * 2` and `x * 2 - 200` are compared with 799,800 where `x` is with 400,000.
#[test]
fn inputs_are_scaled_before_they_are_compared() {
    let mut scaled = arrays();
    scaled.values[0] = 799_800.0;
    scaled.values[2] = -100.0;
    scaled.values[5] = -168.0;
    let scaler =
        [("offset", Attribute::Floats(&[100.0; 5])), ("scale", Attribute::Floats(&[2.0; 5]))];
    let with_scaler = begun().node_of(ML, "Scaler", &["input"], &["x"], &scaler);
    let affine = begun()
        .initializer("two", &[5], &[2.0_f32; 5])
        .initializer("shift", &[1, 5], &[-200.0_f32; 5])
        .node("Mul", &["input", "two"], &["doubled"], &[])
        .node("Add", &["shift", "doubled"], &["x"], &[]);
    let divided = begun()
        .initializer("hundred", &[], &[100.0_f32])
        .initializer("half", &[1], &[0.5_f32])
        .node("Sub", &["input", "hundred"], &["centred"], &[])
        .node("Div", &["centred", "half"], &["x"], &[]);
    for begun in [with_scaler, affine, divided] {
        let file = File::of(&trees(begun, &scaled, "x", "output").output("output", FREE_THREE));
        Conformance::of(TreesBackend).model(ReferenceModel::new(file.uri(), expected, 1e-6)).run();
    }
}

#[test]
fn answers_are_scaled_after_the_trees() {
    let model = trees(begun(), &arrays(), "input", "raw")
        .initializer("factors", &[3], &[2.0_f32, 4.0, 0.5])
        .initializer("shift", &[], &[1.0_f32])
        .node("Mul", &["raw", "factors"], &["scaled"], &[])
        .node("Add", &["scaled", "shift"], &["sum"], &[])
        .node("Identity", &["sum"], &["output"], &[])
        .output("output", FREE_THREE);
    let [runtime, cpu, ram] = expected(&Features::IDLE).to_array();
    let expected = [2.0 * runtime + 1.0, 4.0 * cpu + 1.0, 0.5 * ram + 1.0];
    assert_eq!(answer(&model, &Features::IDLE), expected);
}

/// ONNX compares a double input in double precision with the threshold. 0.1 in single precision
/// is more than 0.1, and the next number of double precision is more than that.
#[test]
fn a_double_input_is_compared_in_double_precision() {
    let mut tenth = arrays();
    tenth.features[0] = 3;
    tenth.values[0] = 0.1;
    tenth.modes[5] = "BRANCH_LEQ";
    let begun = Model::new().opset_of(ML, 3).input_of(DataType::Double, "input", FREE_FIVE);
    let model = trees(begun, &tenth, "input", "raw")
        .node("Cast", &["raw"], &["output"], &[("to", Attribute::Int(11))])
        .output_of(DataType::Double, "output", FREE_THREE);
    let exact = f64::from(0.1_f32);
    for (worker_cpu_cores, runtime) in
        [(0.1, 1_000_500.0), (exact, 1_000_500.0), (exact.next_up(), 3_000_500.0)]
    {
        let features = Features { worker_cpu_cores, ..Features::IDLE };
        assert_eq!(answer(&model, &features)[0], runtime, "{worker_cpu_cores}");
    }
    // After a cast, all three are the same number.
    let begun = Model::new().opset_of(ML, 3).input_of(DataType::Double, "input", FREE_FIVE).node(
        "Cast",
        &["input"],
        &["x"],
        &[("to", Attribute::Int(1))],
    );
    let cast = trees(begun, &tenth, "x", "output").output("output", FREE_THREE);
    let features = Features { worker_cpu_cores: exact.next_up(), ..Features::IDLE };
    assert_eq!(answer(&cast, &features)[0], 1_000_500.0);

    tenth.modes[5] = "BRANCH_LT";
    let begun = Model::new().opset_of(ML, 3).input_of(DataType::Double, "input", FREE_FIVE);
    let text = refusal(&trees(begun, &tenth, "input", "output").output("output", FREE_THREE));
    assert!(text.contains("compares inputs of double precision with Less, expected"), "{text}");
}

/// The first tree of [`arrays`] in the form of version 5, one tree for each target.
#[test]
fn trees_of_version_5_answer_the_same() {
    let version_5 = |modes: &[u8], weights: Attribute<'_>, roots: &[i64]| {
        let attributes = [
            ("n_targets", Attribute::Int(3)),
            ("tree_roots", Attribute::Ints(roots)),
            ("nodes_featureids", Attribute::Ints(&[0, 2, 0, 2, 0])),
            ("nodes_modes", Attribute::ByteTensor(modes)),
            ("nodes_splits", Attribute::FloatTensor(&[4e5, 50.0, 4e5, 50.0, 4e5])),
            ("nodes_truenodeids", Attribute::Ints(&[0, 1, 3, 4, 6])),
            ("nodes_trueleafs", Attribute::Ints(&[1, 1, 1, 1, 1])),
            ("nodes_falsenodeids", Attribute::Ints(&[1, 2, 3, 5, 7])),
            ("nodes_falseleafs", Attribute::Ints(&[0, 1, 0, 1, 1])),
            ("leaf_targetids", Attribute::Ints(&[0, 0, 0, 1, 1, 1, 2, 2])),
            ("leaf_weights", weights),
        ];
        Model::new()
            .opset_of(ML, 5)
            .input("input", FREE_FIVE)
            .node_of(ML, "TreeEnsemble", &["input"], &["output"], &attributes)
            .output("output", FREE_THREE)
    };
    let weights = [1e6_f32, 5e6, 3e6, 0.25, 0.75, 0.5, 8e6, 9e6];
    let model = version_5(&[0, 3, 0, 3, 0], Attribute::FloatTensor(&weights), &[0, 2, 4]);
    let file = File::of(&model);
    let expected = |features: &Features| {
        let first = features.request_bytes <= 4e5;
        let runtime = match features.active_calls > 50.0 {
            _ if first => [1e6, 0.25],
            true => [5e6, 0.75],
            false => [3e6, 0.5],
        };
        RawPrediction::from_array([runtime[0], runtime[1], if first { 8e6 } else { 9e6 }])
    };
    Conformance::of(TreesBackend).model(ReferenceModel::new(file.uri(), expected, 1e-6)).run();

    let prefix = "trees cannot lower node 'node_output' (TreeEnsemble): ";
    let floats = Attribute::FloatTensor(&weights);
    for (model, expected) in [
        (version_5(&[0, 6, 0, 3, 0], floats, &[0, 2, 4]), "it tests for membership"),
        (version_5(&[0, 7, 0, 3, 0], floats, &[0, 2, 4]), "a node has the mode 7"),
        (version_5(&[0, 3, 0, 3], floats, &[0, 2, 4]), "nodes_modes has 4 items, expected 5"),
        (version_5(&[0, 3, 0, 3, 0], floats, &[0, 2]), "no tree has branch 4"),
        (version_5(&[0, 3, 0, 3, 0], floats, &[0, 2, 4, 1]), "tree 3: branch 1 has two parents"),
        (
            version_5(&[0, 3, 0, 3, 0], floats, &[0, 2, -4]),
            "tree_roots has -4, which is not an index",
        ),
        (
            version_5(&[0, 3, 0, 3, 0], Attribute::DoubleTensor(&[0.1; 8]), &[0, 2, 4]),
            "leaf_weights has 0.1, which single precision does not hold",
        ),
        (
            version_5(&[0, 3, 0, 3, 0], Attribute::ByteTensor(&[1; 8]), &[0, 2, 4]),
            "leaf_weights has another element type than expected",
        ),
    ] {
        assert_eq!(refusal(&model), format!("{prefix}{expected}"));
    }
}

#[test]
fn trees_are_served_by_trees_and_everything_else_as_before() {
    let backends: [Arc<dyn Backend>; 3] =
        [Arc::new(DenseBackend), Arc::new(TreesBackend), Arc::new(TractBackend)];
    let backends = Backends::new(backends);
    for (model, backend) in [(model(&arrays()), "trees"), (LINEAR.to_onnx(), "dense")] {
        let file = File::of(&model);
        let loaded = backends.open(&file.uri()).unwrap();
        assert_eq!(loaded.models[0].predictor.info().backend, backend);
    }
}

/// Each byte of a small file.
#[test]
fn a_damaged_file_is_opened_or_refused() {
    let bytes = model(&arrays()).to_bytes();
    for at in 0..bytes.len() {
        for change in [1, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            let file = File::of_bytes("model.onnx", &damaged);
            match TreesBackend.open(&file.uri()) {
                Ok(model) => drop(model.session().unwrap().predict(&Features::IDLE)),
                Err(error) => assert!(!error.to_string().contains("panicked"), "{at}: {error}"),
            }
        }
    }
}
