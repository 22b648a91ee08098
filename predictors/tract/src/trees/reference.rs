//! A plain evaluation of a file, in its own terms: node after node, tree after tree, with the
//! rows, modes and ids that the file has. It shares nothing with what is served but the reading
//! of attributes and constants.

use std::collections::HashMap;

use hyperfake_predictor_onnx::{Element, OnnxFile, pb::NodeProto};

use super::{attributes::Attributes, ensemble::is_ensemble};
use crate::lower::{Constants, Start, consumers, integer, needed};

/// The mode of a row that compares nothing.
const LEAF: &[u8] = b"LEAF";

/// A file whose trees were read.
pub(super) struct Reference<'a> {
    constants: Constants<'a>,
    element: Element,
    input: &'a str,
    outputs: Vec<&'a str>,
    nodes: Vec<&'a NodeProto>,
    /// By the name of the node's output.
    trees: HashMap<&'a str, Trees<'a>>,
}

/// A tree ensemble as rows, of which each is a branch or a leaf.
pub(super) struct Trees<'a> {
    rows: Vec<Row<'a>>,
    /// The row where each tree begins.
    roots: Vec<usize>,
    targets: usize,
    aggregate: &'a str,
    base_values: Vec<f64>,
}

#[derive(Clone, Default)]
pub(super) struct Row<'a> {
    /// As in `nodes_modes`.
    mode: &'a [u8],
    pub(super) feature: usize,
    pub(super) value: f64,
    missing_is_true: bool,
    if_true: usize,
    if_false: usize,
    votes: Vec<(usize, f64)>,
}

impl<'a> Reference<'a> {
    pub(super) fn of(file: &'a OnnxFile) -> Result<Self, String> {
        let graph = file.graph().ok_or("there is no graph")?;
        let outputs: Vec<_> = file.signature.outputs.iter().map(String::as_str).collect();
        let consumers = consumers(graph, &outputs);
        let start = Start::of(file, &consumers).map_err(|error| error.to_string())?;
        let nodes: Vec<_> =
            needed(graph, &outputs).into_iter().map(|index| &graph.node[index]).collect();
        let mut trees = HashMap::new();
        for node in nodes.iter().filter(|node| is_ensemble(node)) {
            let attributes = Attributes { node };
            let read = match node.op_type.as_str() {
                "TreeEnsemble" => Trees::of_version_5(&attributes)?,
                _ => Trees::of_a_regressor(&attributes)?,
            };
            trees.insert(node.output.first().map_or("", String::as_str), read);
        }
        Ok(Self {
            constants: Constants::of(graph),
            element: start.element,
            input: start.value,
            outputs,
            nodes,
            trees,
        })
    }

    /// The ensembles, in no order.
    pub(super) fn trees(&self) -> impl Iterator<Item = &Trees<'a>> {
        self.trees.values()
    }

    /// What the graph answers to a row of inputs.
    pub(super) fn answer(&self, inputs: &[f64]) -> Result<Vec<f64>, String> {
        let mut values: HashMap<&str, (Vec<f64>, Element)> = HashMap::new();
        let inputs = inputs.iter().map(|input| round(*input, self.element)).collect();
        values.insert(self.input, (inputs, self.element));
        for node in &self.nodes {
            let name = node.output.first().map_or("", String::as_str);
            // The given values replace the node that would join several inputs.
            if node.op_type == "Constant" || name == self.input {
                continue;
            }
            let value = self.evaluate(node, name, &values)?;
            values.insert(name, value);
        }
        let mut answer = Vec::new();
        for output in &self.outputs {
            let value = values.get(output).ok_or_else(|| format!("nothing gives '{output}'"))?;
            answer.extend(&value.0);
        }
        Ok(answer)
    }

    fn evaluate(
        &self,
        node: &NodeProto,
        name: &str,
        values: &HashMap<&str, (Vec<f64>, Element)>,
    ) -> Result<(Vec<f64>, Element), String> {
        let known = |index: usize| values.get(node.input.get(index)?.as_str());
        let op = node.op_type.as_str();
        let (numbers, element) = match op {
            "Add" | "Sub" | "Mul" | "Div" => {
                let (first, second) = match (known(0), known(1)) {
                    (Some((numbers, element)), None) => {
                        let row = self.constants.row(&node.input[1], numbers.len(), *element)?;
                        ((numbers.clone(), *element), row)
                    }
                    (None, Some((numbers, element))) => {
                        let row = self.constants.row(&node.input[0], numbers.len(), *element)?;
                        ((row, *element), numbers.clone())
                    }
                    _ => return Err(format!("{op} is not applied to a value and a constant")),
                };
                let pairs = first.0.iter().zip(&second);
                let numbers = pairs.map(|(first, second)| match op {
                    "Add" => first + second,
                    "Sub" => first - second,
                    "Mul" => first * second,
                    _ => first / second,
                });
                (numbers.collect(), first.1)
            }
            "Concat" => {
                let mut joined = Vec::new();
                for index in 0..node.input.len() {
                    joined.extend(&known(index).ok_or("Concat takes something else")?.0);
                }
                (joined, known(0).map_or(Element::F32, |(_, element)| *element))
            }
            _ => {
                let (numbers, element) = known(0).ok_or_else(|| format!("{op} takes no value"))?;
                match op {
                    "Cast" if integer(node, "to") == Some(1) => (numbers.clone(), Element::F32),
                    "Cast" => (numbers.clone(), Element::F64),
                    "TreeEnsemble" => (self.trees[name].answer(numbers), *element),
                    "TreeEnsembleRegressor" => (self.trees[name].answer(numbers), Element::F32),
                    _ => (numbers.clone(), *element),
                }
            }
        };
        Ok((numbers.into_iter().map(|number| round(number, element)).collect(), element))
    }
}

impl<'a> Trees<'a> {
    fn of_a_regressor(attributes: &Attributes<'a>) -> Result<Self, String> {
        let ids: Vec<(i64, i64)> = attributes
            .ints("nodes_treeids")?
            .iter()
            .copied()
            .zip(attributes.ints("nodes_nodeids")?.iter().copied())
            .collect();
        let row_of: HashMap<_, _> = ids.iter().enumerate().map(|(row, id)| (*id, row)).collect();
        let modes = attributes.texts("nodes_modes")?;
        let values = attributes.doubles("nodes_values")?;
        let features = attributes.ints("nodes_featureids")?;
        let [if_true, if_false] =
            [attributes.ints("nodes_truenodeids")?, attributes.ints("nodes_falsenodeids")?];
        let missing = attributes.missing(ids.len())?;
        let row = |index: usize| Row {
            mode: modes[index],
            feature: features[index] as usize,
            value: values[index],
            missing_is_true: missing[index],
            if_true: row_of.get(&(ids[index].0, if_true[index])).copied().unwrap_or_default(),
            if_false: row_of.get(&(ids[index].0, if_false[index])).copied().unwrap_or_default(),
            votes: Vec::new(),
        };
        let mut rows: Vec<Row<'_>> = (0..ids.len()).map(row).collect();
        let weights = attributes.doubles("target_weights")?;
        let targets = attributes.ints("target_ids")?;
        let at = attributes.ints("target_treeids")?.iter().zip(attributes.ints("target_nodeids")?);
        for ((at, target), weight) in at.zip(targets).zip(weights) {
            rows[row_of[&(*at.0, *at.1)]].votes.push((*target as usize, weight));
        }
        Ok(Self {
            rows,
            roots: (0..ids.len()).filter(|row| ids[*row].1 == 0).collect(),
            targets: attributes.targets()?,
            aggregate: match attributes.text("aggregate_function")? {
                "" => "SUM",
                name => name,
            },
            base_values: attributes.doubles("base_values")?,
        })
    }

    /// The branches, then the leaves.
    fn of_version_5(attributes: &Attributes<'a>) -> Result<Self, String> {
        const MODES: [&[u8]; 6] =
            [b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT", b"BRANCH_EQ", b"BRANCH_NEQ"];
        const AGGREGATES: [&str; 4] = ["AVERAGE", "SUM", "MIN", "MAX"];
        let modes = attributes.bytes("nodes_modes")?;
        let values = attributes.doubles("nodes_splits")?;
        let features = attributes.ints("nodes_featureids")?;
        let child = |ids: &str, leaves: &str, index: usize| -> Result<usize, String> {
            let leaf = attributes.ints(leaves)?[index] != 0;
            Ok(attributes.ints(ids)?[index] as usize + if leaf { modes.len() } else { 0 })
        };
        let missing = attributes.missing(modes.len())?;
        let mut rows = Vec::new();
        for index in 0..modes.len() {
            rows.push(Row {
                mode: MODES[usize::from(modes[index])],
                feature: features[index] as usize,
                value: values[index],
                missing_is_true: missing[index],
                if_true: child("nodes_truenodeids", "nodes_trueleafs", index)?,
                if_false: child("nodes_falsenodeids", "nodes_falseleafs", index)?,
                votes: Vec::new(),
            });
        }
        let weights = attributes.doubles("leaf_weights")?;
        for (target, weight) in attributes.ints("leaf_targetids")?.iter().zip(weights) {
            let votes = vec![(*target as usize, weight)];
            rows.push(Row { mode: LEAF, votes, ..Row::default() });
        }
        let aggregate = attributes.int("aggregate_function").unwrap_or(1) as usize;
        Ok(Self {
            rows,
            roots: attributes.ints("tree_roots")?.iter().map(|root| *root as usize).collect(),
            targets: attributes.targets()?,
            aggregate: AGGREGATES[aggregate],
            base_values: Vec::new(),
        })
    }

    /// The rows that compare.
    pub(super) fn branches(&self) -> impl Iterator<Item = &Row<'a>> {
        self.rows.iter().filter(|row| row.mode != LEAF)
    }

    fn answer(&self, inputs: &[f64]) -> Vec<f64> {
        let mut answer = vec![None; self.targets];
        for root in &self.roots {
            let mut row = &self.rows[*root];
            while row.mode != LEAF {
                let (input, value) = (inputs[row.feature], row.value);
                let truth = match row.mode {
                    _ if input.is_nan() => row.missing_is_true,
                    b"BRANCH_LEQ" => input <= value,
                    b"BRANCH_LT" => input < value,
                    b"BRANCH_GTE" => input >= value,
                    b"BRANCH_GT" => input > value,
                    b"BRANCH_EQ" => input == value,
                    _ => input != value,
                };
                row = &self.rows[if truth { row.if_true } else { row.if_false }];
            }
            for (target, weight) in &row.votes {
                let before: &mut Option<f64> = &mut answer[*target];
                *before = Some(match (*before, self.aggregate) {
                    (None, _) => *weight,
                    (Some(least), "MIN") => least.min(*weight),
                    (Some(greatest), "MAX") => greatest.max(*weight),
                    (Some(sum), _) => sum + weight,
                });
            }
        }
        let count = self.roots.len() as f64;
        let divisor = if self.aggregate == "AVERAGE" { count } else { 1.0 };
        let base = |target: usize| self.base_values.get(target).copied().unwrap_or(0.0);
        let answers = answer.into_iter().enumerate();
        answers.map(|(target, votes)| votes.unwrap_or(0.0) / divisor + base(target)).collect()
    }
}

/// A number in an element type.
fn round(number: f64, element: Element) -> f64 {
    match element {
        Element::F64 => number,
        _ => f64::from(number as f32),
    }
}
