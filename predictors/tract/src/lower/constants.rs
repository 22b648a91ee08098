//! The constants of a graph and the attributes of its nodes.

use std::collections::HashMap;

use tract_onnx::{
    pb::{AttributeProto, GraphProto, NodeProto, TensorProto},
    prelude::*,
};

use crate::source::Source;

/// The constants of a graph, by name: initializers and what `Constant` nodes give.
pub(super) struct Constants<'a> {
    source: &'a Source,
    places: HashMap<&'a str, Place<'a>>,
}

/// Where a constant stands.
#[derive(Clone, Copy)]
enum Place<'a> {
    Tensor(&'a TensorProto),
    /// The attribute of a `Constant` node.
    Attribute(&'a AttributeProto),
}

/// A constant, read.
pub(super) struct Numbers {
    pub(super) dims: Vec<usize>,
    /// In row-major order.
    pub(super) values: Vec<f32>,
}

impl<'a> Constants<'a> {
    pub(super) fn of(source: &'a Source, graph: &'a GraphProto) -> Self {
        let nodes = graph.node.iter().filter(|node| node.op_type == "Constant");
        let nodes = nodes.filter_map(|node| {
            Some((node.output.first()?.as_str(), Place::Attribute(node.attribute.first()?)))
        });
        let tensors = graph.initializer.iter();
        let tensors = tensors.map(|tensor| (tensor.name.as_str(), Place::Tensor(tensor)));
        Self { source, places: nodes.chain(tensors).collect() }
    }

    /// A constant of one number.
    pub(super) fn scalar(&self, name: &str) -> Result<f32, String> {
        match self.numbers(name)?.values[..] {
            [value] => Ok(value),
            _ => Err(format!("'{name}' is not one number")),
        }
    }

    /// A constant of floats, or of sizes, which are whole numbers small enough to be exact. The
    /// error is a reason.
    pub(super) fn numbers(&self, name: &str) -> Result<Numbers, String> {
        let place = self.places.get(name);
        let tensor = match *place.ok_or_else(|| format!("'{name}' is not a constant"))? {
            Place::Tensor(tensor) => tensor,
            Place::Attribute(attribute) => match (&attribute.t, attribute.name.as_str()) {
                (Some(tensor), "value") => tensor,
                (_, "value_float") => {
                    return Ok(Numbers { dims: Vec::new(), values: vec![attribute.f] });
                }
                (_, "value_floats") => {
                    let values = attribute.floats.clone();
                    return Ok(Numbers { dims: vec![values.len()], values });
                }
                _ => return Err(format!("'{name}' is a constant of another type")),
            },
        };
        let unreadable = |error: TractError| format!("'{name}' cannot be read: {error}");
        let tensor = self.source.tensor(tensor).map_err(unreadable)?;
        if !matches!(tensor.datum_type(), DatumType::F32 | DatumType::I64) {
            return Err(format!("'{name}' holds {:?}", tensor.datum_type()));
        }
        let dims = tensor.shape().to_vec();
        let tensor = tensor.cast_to::<f32>().map_err(unreadable)?;
        let plain = tensor.as_plain_ram().ok_or_else(|| format!("'{name}' has no values"))?;
        let values = plain.as_slice::<f32>().map_err(unreadable)?.to_vec();
        Ok(Numbers { dims, values })
    }
}

pub(super) fn integer(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(|attribute| attribute.i)
}

pub(super) fn float(node: &NodeProto, name: &str) -> Option<f32> {
    attribute(node, name).map(|attribute| attribute.f)
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}
