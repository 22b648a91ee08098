//! The constants of a graph and the attributes of its nodes.

use std::collections::HashMap;

use hyperfake_predictor_onnx::{
    numbers,
    pb::{AttributeProto, GraphProto, NodeProto, TensorProto, tensor_proto::DataType},
};

/// The constants of a graph, by name: initializers and what `Constant` nodes give.
pub(super) struct Constants<'a>(HashMap<&'a str, Place<'a>>);

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
    pub(super) fn of(graph: &'a GraphProto) -> Self {
        let nodes = graph.node.iter().filter(|node| node.op_type == "Constant");
        let nodes = nodes.filter_map(|node| {
            Some((node.output.first()?.as_str(), Place::Attribute(node.attribute.first()?)))
        });
        let tensors = graph.initializer.iter();
        let tensors = tensors.map(|tensor| (tensor.name.as_str(), Place::Tensor(tensor)));
        Self(nodes.chain(tensors).collect())
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
        let place = self.0.get(name);
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
        let read = numbers(tensor).map_err(|reason| format!("'{name}' {reason}"))?;
        if !matches!(read.element, DataType::Float | DataType::Int64) {
            let element = format!("{:?}", read.element).to_lowercase();
            return Err(format!("'{name}' holds {element}"));
        }
        let values = read.values.iter().map(|value| *value as f32).collect();
        Ok(Numbers { dims: read.dims, values })
    }
}

pub(super) fn integer(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(|attribute| attribute.i)
}

pub(super) fn float(node: &NodeProto, name: &str) -> Option<f32> {
    attribute(node, name).map(|attribute| attribute.f)
}

/// The attributes that are read of each operator; `consumed_inputs` of the first opsets says nothing
/// about the result.
pub(super) fn unread_attribute(node: &NodeProto) -> Option<&str> {
    let read: &[&str] = match node.op_type.as_str() {
        "Gemm" => &["alpha", "beta", "transA", "transB", "broadcast"],
        "Add" | "Sub" | "Mul" | "Div" => &["axis", "broadcast", "consumed_inputs"],
        "BatchNormalization" => &["epsilon", "training_mode", "is_test", "momentum"],
        "LeakyRelu" | "Elu" => &["alpha", "consumed_inputs"],
        "Clip" => &["min", "max", "consumed_inputs"],
        "Dropout" => &["is_test", "ratio", "seed", "consumed_inputs"],
        "Cast" => &["to"],
        "Flatten" => &["axis"],
        _ => &["consumed_inputs"],
    };
    let attributes = node.attribute.iter().map(|attribute| attribute.name.as_str());
    attributes.into_iter().find(|name| !read.contains(name))
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}
