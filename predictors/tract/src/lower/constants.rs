//! The constants of a graph and the attributes of its nodes.

use std::collections::HashMap;

use tract_onnx::{
    pb::{AttributeProto, GraphProto, NodeProto, TensorProto},
    prelude::*,
};

use crate::{graph::Element, source::Source};

/// The constants of a graph, by name: initializers and what `Constant` nodes give.
pub(crate) struct Constants<'a> {
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
pub(crate) struct Numbers {
    pub(crate) dims: Vec<usize>,
    /// In row-major order.
    pub(crate) values: Vec<f32>,
}

impl<'a> Constants<'a> {
    pub(crate) fn of(source: &'a Source, graph: &'a GraphProto) -> Self {
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
    pub(crate) fn numbers(&self, name: &str) -> Result<Numbers, String> {
        let tensor = self.tensor(name)?;
        if !matches!(tensor.datum_type(), DatumType::F32 | DatumType::I64) {
            return Err(format!("'{name}' holds {:?}", tensor.datum_type()));
        }
        Ok(Numbers { dims: tensor.shape().to_vec(), values: values(name, &tensor)? })
    }

    /// The same of a constant that may be in double precision, which is rounded.
    pub(super) fn rounded(&self, name: &str) -> Result<Numbers, String> {
        let tensor = self.tensor(name)?;
        if tensor.datum_type() != DatumType::F64 {
            return self.numbers(name);
        }
        Ok(Numbers { dims: tensor.shape().to_vec(), values: values(name, &tensor)? })
    }

    /// A constant of this element type as a number for each of `width` columns.
    pub(crate) fn row(
        &self,
        name: &str,
        width: usize,
        element: Element,
    ) -> Result<Vec<f64>, String> {
        let tensor = self.tensor(name)?;
        let expected = match element {
            Element::F32 => DatumType::F32,
            Element::F64 => DatumType::F64,
        };
        if tensor.datum_type() != expected {
            return Err(format!("'{name}' holds {:?}", tensor.datum_type()));
        }
        let numbers = values(name, &tensor)?;
        broadcast(name, tensor.shape(), &numbers, width)
    }

    fn tensor(&self, name: &str) -> Result<Tensor, String> {
        let place = self.places.get(name);
        let tensor = match *place.ok_or_else(|| format!("'{name}' is not a constant"))? {
            Place::Tensor(tensor) => tensor,
            Place::Attribute(attribute) => match (&attribute.t, attribute.name.as_str()) {
                (Some(tensor), "value") => tensor,
                (_, "value_float") => return Ok(tensor0(attribute.f)),
                (_, "value_floats") => return Ok(tensor1(&attribute.floats)),
                _ => return Err(format!("'{name}' is a constant of another type")),
            },
        };
        self.source.tensor(tensor).map_err(|error| format!("'{name}' cannot be read: {error}"))
    }
}

/// The numbers of a tensor as another type.
fn values<T: Datum + Copy>(name: &str, tensor: &Tensor) -> Result<Vec<T>, String> {
    let unreadable = |error: TractError| format!("'{name}' cannot be read: {error}");
    let tensor = tensor.cast_to::<T>().map_err(unreadable)?;
    let plain = tensor.as_plain_ram().ok_or_else(|| format!("'{name}' has no values"))?;
    Ok(plain.as_slice::<T>().map_err(unreadable)?.to_vec())
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

pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}
