//! What ONNX Runtime says about the inputs and outputs of a model.

use hyperfake_predictor_onnx::{Element, Port, Size};
use ort::value::{Outlet, TensorElementType, ValueType};

/// The inputs or outputs of a session.
pub(crate) fn ports(outlets: &[Outlet]) -> Vec<Port> {
    let port = |outlet: &Outlet| {
        let (element, shape) = match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => {
                let size =
                    |size: &i64| usize::try_from(*size).map_or(Size::Free(None), Size::Fixed);
                (element(*ty).ok_or_else(|| type_name(*ty)), Some(shape.iter().map(size).collect()))
            }
            other => (Err(other.to_string()), None),
        };
        Port { name: outlet.name().to_owned(), element, shape }
    };
    outlets.iter().map(port).collect()
}

pub(crate) fn element(element: TensorElementType) -> Option<Element> {
    match element {
        TensorElementType::Float32 => Some(Element::F32),
        TensorElementType::Float64 => Some(Element::F64),
        TensorElementType::Float16 => Some(Element::F16),
        TensorElementType::Int64 => Some(Element::I64),
        TensorElementType::Int32 => Some(Element::I32),
        _ => None,
    }
}

/// The ONNX name of an element type.
pub(crate) fn type_name(ty: TensorElementType) -> String {
    element(ty).map_or_else(|| format!("{ty:?}").to_lowercase(), |known| known.name().to_owned())
}
