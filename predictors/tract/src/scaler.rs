//! `Scaler` of `ai.onnx.ml`, `(x - offset) * scale`, written as the two standard operators that it
//! stands for. tract does not know it, and skl2onnx writes it first for a model that was trained on
//! scaled inputs.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    attribute_proto::AttributeType, tensor_proto::DataType, type_proto::Value as Kind,
};

/// The opset from which `Sub` and `Mul` broadcast as they do today.
const BROADCASTING: i64 = 7;

/// Replaces each `Scaler` whose input is known to be float or double. A double one computes in
/// double precision and answers in single, as in ONNX Runtime. What cannot be replaced stays.
pub(crate) fn expand(model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    if !graph.node.iter().any(is_scaler) {
        return;
    }
    let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    match model.opset_import.iter().find(|opset| standard(&opset.domain)) {
        Some(opset) if opset.version < BROADCASTING => return,
        Some(_) => {}
        None => {
            // The graph has no standard operator, so any version will do.
            let version = 13;
            model.opset_import.push(OperatorSetIdProto { domain: String::new(), version });
        }
    }
    let mut elements = elements(graph);
    let mut taken: HashSet<String> =
        graph.node.iter().flat_map(|node| &node.output).cloned().collect();
    taken.extend(graph.initializer.iter().map(|tensor| tensor.name.clone()));
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        let element = node.input.first().and_then(|input| elements.get(input)).copied();
        if is_scaler(&node)
            && let Some(element) = element
            && let Some((replacement, constants)) = replacement(&node, element, &taken)
        {
            taken.extend(replacement.iter().flat_map(|node| &node.output).cloned());
            taken.extend(constants.iter().map(|tensor| tensor.name.clone()));
            graph.initializer.extend(constants);
            nodes.extend(replacement);
            elements.extend(node.output.first().map(|name| (name.clone(), DataType::Float)));
        } else {
            if node.op_type == "Identity" {
                let output = node.output.first().cloned();
                elements.extend(output.zip(element));
            }
            nodes.push(node);
        }
    }
    graph.node = nodes;
}

fn is_scaler(node: &NodeProto) -> bool {
    node.op_type == "Scaler" && node.domain == "ai.onnx.ml"
}

/// The element types that the file states: of inputs, and of what `Cast` gives.
fn elements(graph: &GraphProto) -> HashMap<String, DataType> {
    let inputs = graph.input.iter().filter_map(|input| {
        let Kind::TensorType(tensor) = input.r#type.as_ref()?.value.as_ref()?;
        Some((input.name.clone(), DataType::try_from(tensor.elem_type).ok()?))
    });
    let casts = graph.node.iter().filter(|node| node.op_type == "Cast").filter_map(|node| {
        let to = node.attribute.iter().find(|attribute| attribute.name == "to")?.i;
        Some((node.output.first()?.clone(), DataType::try_from(to as i32).ok()?))
    });
    inputs.chain(casts).collect()
}

/// The nodes and the constants; nothing when the node is not as the operator's definition has it.
fn replacement(
    node: &NodeProto,
    element: DataType,
    taken: &HashSet<String>,
) -> Option<(Vec<NodeProto>, Vec<TensorProto>)> {
    let ([input], [output]) = (&node.input[..], &node.output[..]) else { return None };
    if node.attribute.iter().any(|other| !matches!(&*other.name, "offset" | "scale")) {
        return None;
    }
    let floats = |name: &str| {
        let attribute = node.attribute.iter().find(|attribute| attribute.name == name)?;
        (!attribute.floats.is_empty()).then_some(&attribute.floats)
    };
    let (offset, scale) = (floats("offset")?, floats("scale")?);
    if offset.len() != scale.len() {
        return None;
    }
    let name = |what: &str| {
        let mut name = format!("{output}/{what}");
        while taken.contains(&name) {
            name.push('_');
        }
        name
    };
    let [offset_name, scale_name, centred, scaled] =
        ["offset", "scale", "centred", "scaled"].map(name);
    let tensor = |name: &String, values: &[f32]| {
        let tensor = TensorProto {
            name: name.clone(),
            dims: vec![values.len() as i64],
            data_type: element as i32,
            ..TensorProto::default()
        };
        match element {
            DataType::Double => TensorProto {
                double_data: values.iter().map(|value| f64::from(*value)).collect(),
                ..tensor
            },
            _ => TensorProto { float_data: values.to_vec(), ..tensor },
        }
    };
    // The last node has the name that the file says, for messages.
    let named = |given: &String| if given == output { node.name.clone() } else { given.clone() };
    let step = |op: &str, inputs: [&String; 2], output: &String| NodeProto {
        name: named(output),
        op_type: op.to_owned(),
        input: inputs.map(String::clone).to_vec(),
        output: vec![output.clone()],
        ..NodeProto::default()
    };
    let constants = vec![tensor(&offset_name, offset), tensor(&scale_name, scale)];
    let centre = step("Sub", [input, &offset_name], &centred);
    let nodes = match element {
        DataType::Float => vec![centre, step("Mul", [&centred, &scale_name], output)],
        DataType::Double => {
            let to = AttributeProto {
                name: "to".to_owned(),
                r#type: AttributeType::Int as i32,
                i: DataType::Float as i64,
                ..AttributeProto::default()
            };
            let cast = NodeProto {
                name: named(output),
                op_type: "Cast".to_owned(),
                input: vec![scaled.clone()],
                output: vec![output.clone()],
                attribute: vec![to],
                ..NodeProto::default()
            };
            vec![centre, step("Mul", [&centred, &scale_name], &scaled), cast]
        }
        _ => return None,
    };
    Some((nodes, constants))
}
