//! The constants of a graph and the attributes of its nodes.

use std::collections::HashMap;

use hyperfake_predictor_onnx::{
    Element, Numbers as Read, numbers,
    pb::{AttributeProto, GraphProto, NodeProto, TensorProto, tensor_proto::DataType},
};

/// The constants of a graph, by name: initializers and what `Constant` nodes give.
pub(crate) struct Constants<'a>(HashMap<&'a str, Place<'a>>);

/// Where a constant stands.
#[derive(Clone, Copy)]
enum Place<'a> {
    Tensor(&'a TensorProto),
    /// The attribute of a `Constant` node.
    Attribute(&'a AttributeProto),
}

/// A constant, read.
pub(crate) struct Numbers {
    pub(crate) dims: Vec<usize>,
    /// In row-major order.
    pub(crate) values: Vec<f32>,
}

impl<'a> Constants<'a> {
    pub(crate) fn of(graph: &'a GraphProto) -> Self {
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
    pub(crate) fn numbers(&self, name: &str) -> Result<Numbers, String> {
        self.single(name, &[DataType::Float, DataType::Int64])
    }

    /// The same of a constant that may be in double precision, which is rounded.
    pub(super) fn rounded(&self, name: &str) -> Result<Numbers, String> {
        self.single(name, &[DataType::Float, DataType::Int64, DataType::Double])
    }

    fn single(&self, name: &str, allowed: &[DataType]) -> Result<Numbers, String> {
        let Read { dims, values, element } = self.read(name)?;
        if !allowed.contains(&element) {
            return Err(holds(name, element));
        }
        Ok(Numbers { dims, values: values.into_iter().map(|value| value as f32).collect() })
    }

    /// A constant of this element type as a number for each of `width` columns.
    pub(crate) fn row(
        &self,
        name: &str,
        width: usize,
        element: Element,
    ) -> Result<Vec<f64>, String> {
        let Read { dims, values, element: found } = self.read(name)?;
        if Element::from_onnx(found as i32) != Some(element) {
            return Err(holds(name, found));
        }
        broadcast(name, &dims, &values, width)
    }

    fn read(&self, name: &str) -> Result<Read, String> {
        let floats = |dims: Vec<usize>, values: &[f32]| Read {
            dims,
            values: values.iter().map(|value| f64::from(*value)).collect(),
            element: DataType::Float,
        };
        let place = self.0.get(name);
        let tensor = match *place.ok_or_else(|| format!("'{name}' is not a constant"))? {
            Place::Tensor(tensor) => tensor,
            Place::Attribute(attribute) => match (&attribute.t, attribute.name.as_str()) {
                (Some(tensor), "value") => tensor,
                (_, "value_float") => return Ok(floats(Vec::new(), &[attribute.f])),
                (_, "value_floats") => {
                    return Ok(floats(vec![attribute.floats.len()], &attribute.floats));
                }
                _ => return Err(format!("'{name}' is a constant of another type")),
            },
        };
        numbers(tensor).map_err(|reason| format!("'{name}' {reason}"))
    }
}

fn holds(name: &str, element: DataType) -> String {
    format!("'{name}' holds {}", format!("{element:?}").to_lowercase())
}

/// A constant as a number for each of `width` columns.
pub(super) fn broadcast<T: Copy>(
    name: &str,
    dims: &[usize],
    values: &[T],
    width: usize,
) -> Result<Vec<T>, String> {
    let leading_ones = dims.iter().rev().skip(1).all(|size| *size == 1);
    match *values {
        [value] if dims.len() <= 2 => Ok(vec![value; width]),
        _ if dims.len() <= 2 && leading_ones && values.len() == width => Ok(values.to_vec()),
        _ => Err(format!("'{name}' has the shape {dims:?}, its input has {width}")),
    }
}

pub(crate) fn integer(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(|attribute| attribute.i)
}

pub(super) fn float(node: &NodeProto, name: &str) -> Option<f32> {
    attribute(node, name).map(|attribute| attribute.f)
}

/// The attributes that are read of each operator; `consumed_inputs` of the first opsets says nothing
/// about the result.
pub(crate) fn unread_attribute(node: &NodeProto) -> Option<&str> {
    let read: &[&str] = match node.op_type.as_str() {
        "Gemm" => &["alpha", "beta", "transA", "transB", "broadcast"],
        "Add" | "Sub" | "Mul" | "Div" => &["axis", "broadcast", "consumed_inputs"],
        "BatchNormalization" => &["epsilon", "training_mode", "is_test", "momentum"],
        "LeakyRelu" | "Elu" => &["alpha", "consumed_inputs"],
        "Clip" => &["min", "max", "consumed_inputs"],
        "Dropout" => &["is_test", "ratio", "seed", "consumed_inputs"],
        "Cast" => &["to"],
        "Flatten" | "Concat" => &["axis"],
        "Reshape" => &["allowzero"],
        "LinearRegressor" => &["coefficients", "intercepts", "targets", "post_transform"],
        _ => &["consumed_inputs"],
    };
    let attributes = node.attribute.iter().map(|attribute| attribute.name.as_str());
    attributes.into_iter().find(|name| !read.contains(name))
}

pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}
