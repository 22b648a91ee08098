//! The operators of a graph, checked before tract builds anything, so that a refusal can say what
//! was found in the words of the file.

use std::collections::BTreeSet;

use hyperfake_predictor::{Error, ErrorKind, Result};
use tract_onnx::{
    Onnx,
    pb::{GraphProto, ModelProto},
};

/// Operators of other domains may share a name with these and mean something else.
const KNOWN_DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// The operators that tract does not know, by name.
pub(crate) fn check_operators(model: &ModelProto, onnx: &Onnx) -> Result<()> {
    let Some(graph) = &model.graph else { return Ok(()) };
    let mut unknown = BTreeSet::new();
    collect_unknown(graph, onnx, &mut unknown);
    if unknown.is_empty() {
        return Ok(());
    }
    let names = Vec::from_iter(unknown).join(", ");
    let message = format!("tract does not support the operator {names}");
    Err(Error::new(ErrorKind::Unsupported, message))
}

fn collect_unknown(graph: &GraphProto, onnx: &Onnx, unknown: &mut BTreeSet<String>) {
    for node in &graph.node {
        if !KNOWN_DOMAINS.contains(&node.domain.as_str()) {
            unknown.insert(format!("{}.{}", node.domain, node.op_type));
        } else if !onnx.op_register.0.contains_key(&node.op_type) {
            unknown.insert(node.op_type.clone());
        }
        // The branches of an `If`, the body of a `Loop`.
        for attribute in &node.attribute {
            for inner in attribute.g.iter().chain(&attribute.graphs) {
                collect_unknown(inner, onnx, unknown);
            }
        }
    }
}
