//! Operators that take values of several dimensions.
//!
//! tract takes the channels of such a value for its second dimension without looking whether there
//! is one, and reads memory that is not the shape's when there is none.

use std::collections::HashMap;

use hyperfake_predictor::Result;
use hyperfake_predictor_onnx::shapes;
use tract_onnx::pb::GraphProto;

use super::{declined, inner};

/// The least dimensions of an operator's first input: rows and channels, and what a window moves
/// along.
const LEAST: [(&str, usize); 10] = [
    ("AveragePool", 3),
    ("BatchNormalization", 2),
    ("Conv", 3),
    ("ConvTranspose", 3),
    ("GlobalAveragePool", 3),
    ("GlobalMaxPool", 3),
    ("GroupNormalization", 2),
    ("InstanceNormalization", 2),
    ("LRN", 2),
    ("MaxPool", 3),
];

/// Declines a graph in which one of them gets fewer, or in which it is not known how many.
pub(super) fn check(graph: &GraphProto) -> Result<()> {
    check_nodes(graph, &shapes(graph))
}

fn check_nodes(graph: &GraphProto, shapes: &HashMap<String, Vec<u64>>) -> Result<()> {
    for node in &graph.node {
        let least = LEAST.iter().find(|(name, _)| *name == node.op_type).map(|(_, least)| *least);
        let shape = node.input.first().and_then(|name| shapes.get(name));
        if let Some(least) = least
            && shape.is_none_or(|shape| shape.len() < least)
        {
            let found = shape.map_or("dimensions that the file leaves open".to_owned(), |shape| {
                format!("{} dimensions", shape.len())
            });
            let op = &node.op_type;
            return Err(declined(&format!("{op} of {found}, where it takes at least {least}")));
        }
        inner(node).try_for_each(|graph| check_nodes(graph, shapes))?;
    }
    Ok(())
}
