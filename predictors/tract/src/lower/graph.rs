//! Ways through a graph.

use std::collections::{BTreeSet, HashMap};

use hyperfake_predictor_onnx::pb::{GraphProto, NodeProto};

use super::constants::integer;

/// The nodes from which a way leads to one of the outputs, in the order of the file.
pub(crate) fn needed(graph: &GraphProto, outputs: &[&str]) -> BTreeSet<usize> {
    let mut makers = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        makers.extend(node.output.iter().map(|output| (output.as_str(), index)));
    }
    let mut needed = BTreeSet::new();
    let mut open = outputs.to_vec();
    while let Some(value) = open.pop() {
        if let Some(&index) = makers.get(value)
            && needed.insert(index)
        {
            open.extend(graph.node[index].input.iter().map(String::as_str));
        }
    }
    needed
}

/// Who takes each value, among the nodes from which a way leads to the outputs.
pub(crate) fn consumers<'a>(
    graph: &'a GraphProto,
    outputs: &[&str],
) -> HashMap<&'a str, Vec<&'a NodeProto>> {
    let mut consumers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
    for node in needed(graph, outputs).into_iter().map(|index| &graph.node[index]) {
        let inputs: BTreeSet<&str> = node.input.iter().map(String::as_str).collect();
        for input in inputs {
            consumers.entry(input).or_default().push(node);
        }
    }
    consumers
}

/// Whether a reshape leaves each row of `width` numbers as it is.
pub(crate) fn keeps_rows(
    node: &NodeProto,
    shape: &[f32],
    width: usize,
    rows: Option<usize>,
) -> bool {
    if integer(node, "allowzero").unwrap_or(0) != 0 && shape.contains(&0.0) {
        return false;
    }
    // Whole numbers of this size are exact.
    let (width, rows) = (width as f32, rows.unwrap_or(1) as f32);
    match *shape {
        [columns] => columns == width && rows == 1.0,
        [first, columns] => {
            (columns == width || (columns == -1.0 && first != -1.0))
                && [rows, 0.0, -1.0].contains(&first)
        }
        _ => false,
    }
}

/// `'name' (Operator)`
pub(crate) fn described(node: &NodeProto) -> String {
    let name = match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => output,
        (name, _) => name,
    };
    format!("'{name}' ({})", node.op_type)
}
