//! Where a chain begins.

use std::collections::HashMap;

use hyperfake_predictor::{Error, Feature, Result};
use hyperfake_predictor_onnx::{Element, OnnxFile, pb::NodeProto};

use super::{constants::integer, refusal};

/// Where a graph begins: the only input, or the `Concat` of an input for each feature.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// The name of the value.
    pub(crate) value: &'a str,
    /// What its columns are.
    pub(crate) columns: Vec<Feature>,
    /// Its element type: float or double.
    pub(crate) element: Element,
}

impl<'a> Start<'a> {
    /// # Errors
    ///
    /// `Unsupported` for another element type, and for several inputs that are not joined.
    pub(crate) fn of(
        file: &'a OnnxFile,
        consumers: &HashMap<&'a str, Vec<&'a NodeProto>>,
    ) -> Result<Self> {
        let inputs = &file.signature.inputs;
        let first = inputs.first().ok_or_else(|| Error::unsupported("it has no input"))?;
        let element = first.element;
        if !matches!(element, Element::F32 | Element::F64) {
            return Err(Error::unsupported(format!("it takes {}, expected float", element.name())));
        }
        if let [input] = &**inputs {
            return Ok(Self { value: &input.name, columns: input.columns.clone(), element });
        }
        let joined = consumers.get(&*first.name).and_then(|nodes| nodes.first().copied());
        let Some(node) = joined.filter(|node| node.op_type == "Concat") else {
            return Err(Error::unsupported("its inputs are not joined by a Concat"));
        };
        let named = |name: &String| inputs.iter().find(|input| input.name == *name);
        let joined: Option<Vec<_>> = node.input.iter().map(named).collect();
        let joined = joined.filter(|joined| {
            let alone = |name: &str| consumers.get(name).is_some_and(|nodes| nodes.len() == 1);
            joined.len() == inputs.len()
                && inputs.iter().all(|input| alone(&input.name) && input.element == element)
                && inputs.iter().all(|input| input.shape(1) == [1, 1])
                && inputs.iter().all(|input| joined.iter().any(|other| other.name == input.name))
        });
        let (Some(joined), Some(1 | -1)) = (joined, integer(node, "axis")) else {
            return Err(refusal(node, "it is not all inputs side by side"));
        };
        let next = node.output.first().ok_or_else(|| refusal(node, "it gives nothing"))?;
        let columns = joined.iter().flat_map(|input| input.columns.iter().copied()).collect();
        Ok(Self { value: next, columns, element })
    }
}
