//! The element type of each value of a graph, as far as the rows of the table state it.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::{DataLocation, DataType},
    type_proto::Value as Kind,
};

use super::{Node, Output, inner};

/// What is known about the values that a graph sees.
#[derive(Debug, Clone, Default)]
pub(super) struct Types<'a> {
    elements: HashMap<&'a str, DataType>,
    /// In the file itself, or beside it.
    constants: HashMap<&'a str, &'a TensorProto>,
    /// They depend on the model's input.
    variable: HashSet<&'a str>,
    /// They may be NaN although the model's input is not.
    nan_possible: HashSet<&'a str>,
}

/// Operators that can turn numbers into NaN.
const NAN_POSSIBLE: [&str; 8] =
    ["Acos", "Acosh", "Asin", "Atanh", "Log", "Pow", "ReduceLogSum", "Sqrt"];

/// So can these when the divisor is not a constant.
const DIVISIONS: [&str; 2] = ["Div", "Mod"];

impl<'a> Types<'a> {
    /// Adds what a graph begins with.
    pub(super) fn enter(&mut self, graph: &'a GraphProto) {
        for input in &graph.input {
            self.elements.insert(&input.name, declared(input).unwrap_or(DataType::Undefined));
            self.constants.remove(input.name.as_str());
            self.variable.insert(&input.name);
        }
        for tensor in &graph.initializer {
            let element = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
            self.elements.insert(&tensor.name, element);
            self.constants.insert(&tensor.name, tensor);
            self.variable.remove(tensor.name.as_str());
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<DataType> {
        self.elements.get(name).copied()
    }

    /// The whole numbers of a constant in the file itself.
    pub(super) fn numbers(&self, name: &str) -> Option<Vec<i64>> {
        let tensor = self.constants.get(name)?;
        let whole = DataType::try_from(tensor.data_type) == Ok(DataType::Int64);
        let inside = tensor.data_location != Some(DataLocation::External as i32);
        (whole && inside).then(|| match tensor.raw_data.is_empty() {
            true => tensor.int64_data.clone(),
            false => {
                let (numbers, _) = tensor.raw_data.as_chunks();
                numbers.iter().map(|number| i64::from_le_bytes(*number)).collect()
            }
        })
    }

    pub(super) fn is_variable(&self, name: &str) -> bool {
        self.variable.contains(name)
    }

    pub(super) fn may_be_nan(&self, name: &str) -> bool {
        self.nan_possible.contains(name)
    }

    /// The types of a node's outputs.
    pub(super) fn of(&self, node: &Node<'_>, output: Output) -> Vec<Option<DataType>> {
        let all = |element| vec![element; node.proto.output.len()];
        match output {
            Output::Like(index) => all(node.input(index)),
            Output::Are(elements) => (0..node.proto.output.len())
                .map(|index| elements.get(index).or(elements.last()).copied())
                .collect(),
            Output::Stated(attribute) => {
                let stated = node.int(attribute);
                let stated = stated.and_then(|element| i32::try_from(element).ok());
                all(stated.and_then(|element| DataType::try_from(element).ok()).or(node.input(0)))
            }
            Output::Constant => all(node
                .proto
                .attribute
                .first()
                .map_or(Some(DataType::Float), |attribute| Some(constant(attribute)))),
            Output::Inner => {
                let graph = inner(node.proto).next();
                let outputs = graph.map_or(&[] as &[_], |graph| &graph.output);
                (0..node.proto.output.len())
                    .map(|index| outputs.get(index).and_then(declared))
                    .collect()
            }
        }
    }

    /// Adds a node's outputs.
    pub(super) fn set_outputs(&mut self, node: &'a NodeProto, outputs: &[Option<DataType>]) {
        let has =
            |names: &HashSet<&str>| node.input.iter().any(|name| names.contains(name.as_str()));
        // A subgraph may use every value of the graphs around it.
        let inside = inner(node).next().is_some();
        let sizes = matches!(node.op_type.as_str(), "Shape" | "Size");
        let variable = inside || (has(&self.variable) && !sizes);
        let divided = DIVISIONS.contains(&node.op_type.as_str())
            && node.input.get(1).is_some_and(|name| self.is_variable(name));
        let makes = divided || NAN_POSSIBLE.contains(&node.op_type.as_str());
        let nan_possible = variable && (inside || has(&self.nan_possible) || makes);
        for (name, element) in node.output.iter().zip(outputs) {
            self.elements.insert(name, element.unwrap_or(DataType::Undefined));
            if variable {
                self.variable.insert(name);
            }
            if nan_possible && *element != Some(DataType::Bool) {
                self.nan_possible.insert(name);
            }
            if node.op_type == "Constant" {
                let tensor = node.attribute.first().and_then(|attribute| attribute.t.as_ref());
                self.constants.extend(tensor.map(|tensor| (name.as_str(), tensor)));
            }
        }
    }
}

/// The name of an element type in ONNX's text form.
pub(super) fn name(element: DataType) -> String {
    element.as_str_name().to_lowercase()
}

fn declared(value: &ValueInfoProto) -> Option<DataType> {
    let Kind::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    DataType::try_from(tensor.elem_type).ok()
}

fn constant(attribute: &AttributeProto) -> DataType {
    match AttributeType::try_from(attribute.r#type) {
        Ok(AttributeType::Float | AttributeType::Floats) => DataType::Float,
        Ok(AttributeType::Int | AttributeType::Ints) => DataType::Int64,
        Ok(AttributeType::String | AttributeType::Strings) => DataType::String,
        Ok(AttributeType::Tensor) => {
            let element = attribute.t.as_ref().map(|tensor| tensor.data_type);
            let element = element.and_then(|element| DataType::try_from(element).ok());
            element.unwrap_or(DataType::Undefined)
        }
        _ => DataType::Undefined,
    }
}
