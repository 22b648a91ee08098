//! Trees that are refused, and how the refusal reads.

use super::*;

#[test]
fn arrays_that_contradict_themselves_are_refused_with_the_tree_and_the_node() {
    for (change, expected) in [
        ((|a| a.if_true[2] = 9) as fn(&mut Arrays), "tree 0 has no node 9"),
        (|a| a.if_true[2] = -1, "tree 0 has no node -1"),
        (|a| a.if_false[2] = 0, "tree 0: branch 0 has two parents"),
        (|a| a.if_false[2] = 2, "tree 0: branch 1 has two parents"),
        (|a| a.if_false[0] = 1, "no tree has branch 1"),
        (|a| a.nodes[3] = 4, "tree 0 has two nodes 4"),
        (|a| a.trees[5] = 7, "tree 7 has no node 1"),
        (|a| a.nodes[0] = 5, "no tree has branch 0"),
        (|a| a.features[2] = 5, "branch 1 compares input 5, expected one below 5"),
        (|a| a.features[2] = -1, "nodes_featureids has -1, which is not an index"),
        (|a| a.modes[2] = "BRANCH_MEMBER", "node 2 has the mode 'BRANCH_MEMBER'"),
        (|a| a.values[2] = f32::NAN, "branch 1 has the threshold NaN, expected a number"),
        (|a| a.values.truncate(a.values.len() - 1), "nodes_values has 7 items, expected 8"),
        (|a| a.modes.truncate(a.modes.len() - 1), "nodes_modes has 7 items, expected 8"),
        (|a| a.trees.truncate(a.trees.len() - 1), "nodes_treeids has 7 items, expected 8"),
        (|a| a.if_true.truncate(a.if_true.len() - 1), "nodes_truenodeids has 7 items, expected 8"),
        (|a| a.weights.truncate(a.weights.len() - 1), "target_weights has 9 items, expected 10"),
        (
            |a| a.target_nodes.truncate(a.target_nodes.len() - 1),
            "target_nodeids has 9 items, expected 10",
        ),
        (|a| a.targets[0] = 3, "leaf 0 votes on target 3, expected one below 3"),
        (|a| a.target_nodes[0] = 2, "node 2 of tree 0 has a weight and is not a leaf"),
        (|a| a.target_nodes[0] = 6, "tree 0 has no node 6"),
        (
            |a| a.base_values.truncate(a.base_values.len() - 1),
            "found 2 base values, expected none or 3",
        ),
        (|a| a.count = 0, "found 0 targets, expected 1 to 8"),
        (|a| a.count = i64::MAX, "found 9223372036854775807 targets, expected 1 to 8"),
        (|a| a.count = -3, "n_targets has -3, which is not an index"),
        (|a| a.aggregate = "MEDIAN", "it aggregates by 'MEDIAN'"),
        (
            |a| a.aggregate = "MAX",
            "target 0 may get no vote, and then has no least or greatest one",
        ),
    ] {
        let found = refusal_of(change);
        // With `MAX`, the first tree always votes on run time and CPU, never on RAM.
        let expected = expected.replace("target 0 may", "target 2 may");
        assert_eq!(found, expected);
    }
}

#[test]
fn a_graph_that_is_no_forest_is_refused_by_the_node_that_breaks_it() {
    let with = |wire: fn(Model) -> Model| {
        refusal(&wire(trees(begun(), &arrays(), "input", "raw")).output("output", FREE_THREE))
    };
    for (found, expected) in [
        (
            with(|model| model.node("Sin", &["raw"], &["output"], &[])),
            "trees cannot lower node 'node_output' (Sin)",
        ),
        (
            with(|model| model.node("Add", &["raw", "raw"], &["output"], &[])),
            "trees cannot lower node 'node_output' (Add): it is not applied to a value and then a \
             constant",
        ),
        (
            with(|model| trees(model, &arrays(), "raw", "output")),
            "trees cannot lower node 'node_output' (TreeEnsembleRegressor): it takes what other \
             trees answer",
        ),
        (
            with(|model| model.node("Concat", &["raw", "raw"], &["output"], &[("axis", 1.into())])),
            "the trees give 6 numbers, expected 3",
        ),
        (
            with(|model| {
                model.node("Concat", &["raw", "input"], &["output"], &[("axis", 1.into())])
            }),
            "trees cannot lower node 'node_output' (Concat): it takes something else than what \
             trees answer",
        ),
        (
            with(|model| model.node("Identity", &["input"], &["output"], &[])),
            "'output' is not what the trees answer",
        ),
        (
            with(|model| {
                model.initializer("shape", &[2], &[3_i64, -1]).node(
                    "Reshape",
                    &["raw", "shape"],
                    &["output"],
                    &[],
                )
            }),
            "trees cannot lower node 'node_output' (Reshape): it reshapes 3 numbers of a row to \
             [3.0, -1.0]",
        ),
        (refusal(&LINEAR.to_onnx()), "the graph has no decision trees"),
    ] {
        assert_eq!(found, expected);
    }
    let attributes = [("n_targets", Attribute::Int(3)), ("post_transform", "LOGISTIC".into())];
    let transformed = begun()
        .node_of(ML, "TreeEnsembleRegressor", &["input"], &["output"], &attributes)
        .output("output", FREE_THREE);
    assert!(refusal(&transformed).ends_with("it transforms its answer: LOGISTIC"));
    let unknown = begun()
        .node_of(ML, "TreeEnsembleRegressor", &["input"], &["output"], &[("depth", 3.into())])
        .output("output", FREE_THREE);
    assert!(refusal(&unknown).ends_with("its attribute 'depth' is not known"));
}
