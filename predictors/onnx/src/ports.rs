use std::{collections::BTreeSet, fmt};

use tract_onnx::pb::{
    GraphProto, ValueInfoProto, tensor_proto::DataType,
    tensor_shape_proto::dimension::Value as DimensionValue, type_proto::Value as Kind,
};

use crate::Element;

/// An input or output as a file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its element type, or the name of one that no model of ours has.
    pub element: Result<Element, String>,
    /// Its shape, if that is stated.
    pub shape: Option<Vec<Size>>,
}

/// One number of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// Stated.
    Fixed(usize),
    /// Any size; perhaps named.
    Free(Option<String>),
}

impl Port {
    /// The inputs and the outputs of a graph.
    pub(crate) fn of_graph(graph: &GraphProto) -> (Vec<Self>, Vec<Self>) {
        let inputs = open_inputs(graph).into_iter().map(Self::of);
        (inputs.collect(), graph.output.iter().map(Self::of).collect())
    }

    fn of(value: &ValueInfoProto) -> Self {
        let kind = value.r#type.as_ref().and_then(|kind| kind.value.as_ref());
        let (element, shape) = match kind {
            Some(Kind::TensorType(tensor)) => {
                let element = Element::from_onnx(tensor.elem_type).ok_or_else(|| {
                    DataType::try_from(tensor.elem_type).map_or_else(
                        |_| format!("elements of the unknown type {}", tensor.elem_type),
                        |known| format!("{known:?}").to_lowercase(),
                    )
                });
                let sizes = tensor.shape.as_ref().map(|shape| {
                    let size = |value: &Option<DimensionValue>| match value {
                        Some(DimensionValue::DimValue(size)) => {
                            usize::try_from(*size).map_or(Size::Free(None), Size::Fixed)
                        }
                        Some(DimensionValue::DimParam(name)) => Size::Free(Some(name.clone())),
                        None => Size::Free(None),
                    };
                    shape.dim.iter().map(|dim| size(&dim.value)).collect()
                });
                (element, sizes)
            }
            None => (Err("something else than a tensor".to_owned()), None),
        };
        Self { name: value.name.clone(), element, shape }
    }

    /// Its shape as it is written in a file, such as `[batch,5]`.
    pub(crate) fn shape_text(&self) -> String {
        match &self.shape {
            None => "no stated shape".to_owned(),
            Some(sizes) => {
                let sizes: Vec<_> = sizes.iter().map(ToString::to_string).collect();
                format!("the shape [{}]", sizes.join(","))
            }
        }
    }
}

impl Size {
    /// The stated number.
    #[must_use]
    pub fn fixed(&self) -> Option<usize> {
        match self {
            Self::Fixed(size) => Some(*size),
            Self::Free(_) => None,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Free(Some(name)) => f.write_str(name),
            Self::Free(None) => f.write_str("?"),
        }
    }
}

/// The inputs of a graph that are not constants: old files list their initializers among the
/// inputs.
#[must_use]
pub fn open_inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let sparse = graph.sparse_initializer.iter().filter_map(|tensor| tensor.values.as_ref());
    let given: BTreeSet<_> =
        graph.initializer.iter().chain(sparse).map(|tensor| &tensor.name).collect();
    graph.input.iter().filter(|input| !given.contains(&input.name)).collect()
}
