//! The arrays of a `TreeEnsembleRegressor` or `TreeEnsemble` node as an [`Ensemble`].
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html>,
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html>

use hyperfake_predictor_onnx::{Element, pb::NodeProto};
use hyperfake_predictor_trees::{Aggregate, Branch, Child, Comparison, Ensemble, Leaf, Vote};

use super::{
    attributes::{Attributes, index, same_length},
    rows::Rows,
};

/// The domain of operators that come from machine learning.
const ML: &str = "ai.onnx.ml";

/// The attributes that are read, or that say nothing about the answer: how often a node was
/// reached in training.
const OF_A_REGRESSOR: &[&str] = &[
    "aggregate_function",
    "base_values",
    "base_values_as_tensor",
    "n_targets",
    "nodes_falsenodeids",
    "nodes_featureids",
    "nodes_hitrates",
    "nodes_hitrates_as_tensor",
    "nodes_missing_value_tracks_true",
    "nodes_modes",
    "nodes_nodeids",
    "nodes_treeids",
    "nodes_truenodeids",
    "nodes_values",
    "nodes_values_as_tensor",
    "post_transform",
    "target_ids",
    "target_nodeids",
    "target_treeids",
    "target_weights",
    "target_weights_as_tensor",
];

/// The same for `TreeEnsemble`. Members are not read, and neither is a node that tests for them.
const OF_VERSION_5: &[&str] = &[
    "aggregate_function",
    "leaf_targetids",
    "leaf_weights",
    "membership_values",
    "n_targets",
    "nodes_falseleafs",
    "nodes_falsenodeids",
    "nodes_featureids",
    "nodes_hitrates",
    "nodes_missing_value_tracks_true",
    "nodes_modes",
    "nodes_splits",
    "nodes_trueleafs",
    "nodes_truenodeids",
    "post_transform",
    "tree_roots",
];

pub(super) fn is_ensemble(node: &NodeProto) -> bool {
    node.domain == ML && matches!(&*node.op_type, "TreeEnsembleRegressor" | "TreeEnsemble")
}

/// The trees of a node that takes `inputs` inputs of type `element`. The error is a reason.
pub(super) fn ensemble(
    node: &NodeProto,
    inputs: usize,
    element: Element,
) -> Result<Ensemble, String> {
    let attributes = Attributes { node };
    let version_5 = node.op_type == "TreeEnsemble";
    let known = if version_5 { OF_VERSION_5 } else { OF_A_REGRESSOR };
    if let Some(other) = node.attribute.iter().find(|other| !known.contains(&&*other.name)) {
        return Err(format!("its attribute '{}' is not known", other.name));
    }
    let ensemble = match version_5 {
        true => ensemble_of_version_5(&attributes, inputs)?,
        false => regressor(&attributes, inputs)?,
    };
    // A number in double precision is rounded up before it is compared, which keeps these two.
    let exact = |comparison| {
        element == Element::F32
            || matches!(comparison, Comparison::LessOrEqual | Comparison::Greater)
    };
    match ensemble.branches.iter().find(|branch| !exact(branch.comparison)) {
        None => Ok(ensemble),
        Some(branch) => Err(format!(
            "it compares inputs of double precision with {:?}, expected LessOrEqual or Greater",
            branch.comparison
        )),
    }
}

/// `TreeEnsembleRegressor`: rows of branches and leaves together, named by tree and node.
fn regressor(attributes: &Attributes<'_>, inputs: usize) -> Result<Ensemble, String> {
    if !matches!(attributes.text("post_transform")?, "" | "NONE") {
        return Err(format!("it transforms its answer: {}", attributes.text("post_transform")?));
    }
    let aggregate = match attributes.text("aggregate_function")? {
        "" | "SUM" => Aggregate::Sum,
        "AVERAGE" => Aggregate::Average,
        "MIN" => Aggregate::Min,
        "MAX" => Aggregate::Max,
        other => return Err(format!("it aggregates by '{other}'")),
    };
    let nodes = attributes.ints("nodes_nodeids")?;
    let count = nodes.len();
    let of_nodes = |name: &str| attributes.ints_of(name, count);
    let trees = of_nodes("nodes_treeids")?;
    let features = of_nodes("nodes_featureids")?;
    let [if_true, if_false] = [of_nodes("nodes_truenodeids")?, of_nodes("nodes_falsenodeids")?];
    let missing = attributes.missing(count)?;
    let modes = attributes.texts("nodes_modes")?;
    let thresholds = attributes.floats("nodes_values")?;
    same_length("nodes_modes", modes.len(), count)?;
    same_length("nodes_values", thresholds.len(), count)?;

    let rows = Rows::of(trees, nodes)?;
    // Where each row will stand among the branches or the leaves.
    let (mut branches, mut leaves) = (0, 0);
    let stand = |mode: &&[u8]| {
        let (counter, place) = match *mode {
            b"LEAF" => (&mut leaves, Child::Leaf as fn(usize) -> Child),
            _ => (&mut branches, Child::Branch as fn(usize) -> Child),
        };
        *counter += 1;
        place(*counter - 1)
    };
    let places: Vec<Child> = modes.iter().map(stand).collect();
    let place = |tree: i64, node: i64| rows.find(tree, node).map(|row| places[row]);
    // Node ids start at 0 in each tree.
    let roots = places.iter().zip(nodes).filter(|(_, node)| **node == 0);
    let roots = roots.map(|(place, _)| *place).collect();
    let mut ensemble = Ensemble {
        inputs,
        targets: attributes.targets()?,
        aggregate,
        base_values: attributes.doubles("base_values")?,
        roots,
        branches: Vec::with_capacity(branches),
        leaves: vec![Leaf::default(); leaves],
    };
    for (row, mode) in modes.iter().enumerate() {
        let comparison = match *mode {
            b"LEAF" => continue,
            b"BRANCH_LEQ" => Comparison::LessOrEqual,
            b"BRANCH_LT" => Comparison::Less,
            b"BRANCH_GTE" => Comparison::GreaterOrEqual,
            b"BRANCH_GT" => Comparison::Greater,
            b"BRANCH_EQ" => Comparison::Equal,
            b"BRANCH_NEQ" => Comparison::NotEqual,
            other => {
                let other = String::from_utf8_lossy(other);
                return Err(format!("node {} has the mode '{other}'", nodes[row]));
            }
        };
        ensemble.branches.push(Branch {
            input: index("nodes_featureids", features[row])?,
            comparison,
            threshold: thresholds[row],
            missing_is_true: missing[row],
            if_true: place(trees[row], if_true[row])?,
            if_false: place(trees[row], if_false[row])?,
        });
    }
    let targets = attributes.ints("target_ids")?;
    let of_targets = |name| attributes.ints_of(name, targets.len());
    let target_nodes = of_targets("target_nodeids")?;
    let target_trees = of_targets("target_treeids")?;
    let weights = attributes.floats("target_weights")?;
    same_length("target_weights", weights.len(), targets.len())?;
    for (row, weight) in weights.into_iter().enumerate() {
        let (tree, node) = (target_trees[row], target_nodes[row]);
        let Child::Leaf(leaf) = place(tree, node)? else {
            return Err(format!("node {node} of tree {tree} has a weight and is not a leaf"));
        };
        let target = index("target_ids", targets[row])?;
        ensemble.leaves[leaf].votes.push(Vote { target, weight });
    }
    Ok(ensemble)
}

/// `TreeEnsemble`: branches and leaves in arrays of their own, named by their places.
fn ensemble_of_version_5(attributes: &Attributes<'_>, inputs: usize) -> Result<Ensemble, String> {
    if attributes.int("post_transform").unwrap_or(0) != 0 {
        return Err("it transforms its answer".to_owned());
    }
    let aggregate = match attributes.int("aggregate_function").unwrap_or(1) {
        0 => Aggregate::Average,
        1 => Aggregate::Sum,
        2 => Aggregate::Min,
        3 => Aggregate::Max,
        other => return Err(format!("it aggregates by {other}")),
    };
    let features = attributes.ints("nodes_featureids")?;
    let count = features.len();
    let of_nodes = |name: &str| attributes.ints_of(name, count);
    let children = |ids: &str, leaves: &str| -> Result<Vec<Child>, String> {
        let pairs = of_nodes(ids)?.iter().zip(of_nodes(leaves)?);
        pairs
            .map(|(id, leaf)| {
                let id = index(ids, *id)?;
                Ok(if *leaf == 0 { Child::Branch(id) } else { Child::Leaf(id) })
            })
            .collect()
    };
    let if_true = children("nodes_truenodeids", "nodes_trueleafs")?;
    let if_false = children("nodes_falsenodeids", "nodes_falseleafs")?;
    let missing = attributes.missing(count)?;
    let modes = attributes.bytes("nodes_modes")?;
    let thresholds = attributes.floats("nodes_splits")?;
    same_length("nodes_modes", modes.len(), count)?;
    same_length("nodes_splits", thresholds.len(), count)?;
    let comparison = |mode: u8| match mode {
        0 => Ok(Comparison::LessOrEqual),
        1 => Ok(Comparison::Less),
        2 => Ok(Comparison::GreaterOrEqual),
        3 => Ok(Comparison::Greater),
        4 => Ok(Comparison::Equal),
        5 => Ok(Comparison::NotEqual),
        6 => Err("it tests for membership".to_owned()),
        other => Err(format!("a node has the mode {other}")),
    };
    let branch = |row: usize| {
        Ok(Branch {
            input: index("nodes_featureids", features[row])?,
            comparison: comparison(modes[row])?,
            threshold: thresholds[row],
            missing_is_true: missing[row],
            if_true: if_true[row],
            if_false: if_false[row],
        })
    };
    let targets = attributes.ints("leaf_targetids")?;
    let weights = attributes.floats("leaf_weights")?;
    same_length("leaf_weights", weights.len(), targets.len())?;
    let leaf = |(target, weight): (&i64, f32)| {
        let target = index("leaf_targetids", *target)?;
        Ok(Leaf { votes: vec![Vote { target, weight }] })
    };
    let root = |root: &i64| Ok(Child::Branch(index("tree_roots", *root)?));
    Ok(Ensemble {
        inputs,
        targets: attributes.targets()?,
        aggregate,
        base_values: Vec::new(),
        roots: attributes.ints("tree_roots")?.iter().map(root).collect::<Result<_, String>>()?,
        branches: (0..count).map(branch).collect::<Result<_, String>>()?,
        leaves: targets.iter().zip(weights).map(leaf).collect::<Result<_, String>>()?,
    })
}
