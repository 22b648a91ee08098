//! What a file declares: checked before tract builds anything, so that a refusal can say what
//! was found in the words of the file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use hyperfake_predictor::{Error, ErrorKind, Result};
use tract_onnx::pb::{
    GraphProto, ModelProto, TensorProto, TensorShapeProto, ValueInfoProto,
    tensor_proto::{DataLocation, DataType},
    tensor_shape_proto::dimension::Value as Size,
    type_proto::Value as Kind,
};

use crate::MAX_FILE_BYTES;

/// What a model takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    /// The input's element type.
    pub(crate) element: Element,
    /// The input's batch size, unless it is free.
    pub(crate) rows: Option<usize>,
    /// How many numbers a row has; not checked here, because settings say what they are.
    pub(crate) columns: usize,
    /// Which of the graph's outputs counts, and its name.
    pub(crate) output: (usize, String),
}

/// The element type of an input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    F64,
}

impl Signature {
    /// Checks a model, whose external data is relative to `folder`.
    pub(crate) fn of(model: &ModelProto, folder: Option<&Path>) -> Result<Self> {
        let graph =
            model.graph.as_ref().ok_or_else(|| invalid("not an ONNX model: there is no graph"))?;
        let (element, rows, columns) = input(graph)?;
        let output = output(graph)?;
        for tensor in &graph.initializer {
            check_external_data(tensor, folder)?;
        }
        Ok(Self { element, rows, columns, output })
    }
}

/// The metadata that is meant for this software, without its prefix.
pub(crate) fn settings(model: &ModelProto) -> BTreeMap<String, String> {
    let ours = model.metadata_props.iter().filter_map(|pair| {
        let key = pair.key.strip_prefix("hyperfake.").filter(|key| !key.is_empty())?;
        Some((key.to_owned(), pair.value.clone()))
    });
    ours.collect()
}

fn input(graph: &GraphProto) -> Result<(Element, Option<usize>, usize)> {
    let inputs = open_inputs(graph);
    let [input] = inputs[..] else {
        return Err(unsupported(format!(
            "found {} inputs{}, expected one of the shape [1,5], [N,5] or [?,5]",
            inputs.len(),
            listed(inputs.iter().map(|input| input.name.as_str())),
        )));
    };
    let name = &input.name;
    let element = match element(input) {
        Some(DataType::Float) => Element::F32,
        Some(DataType::Double) => Element::F64,
        other => {
            let found = other
                .map_or("elements of no known type".into(), |t| format!("{t:?}").to_lowercase());
            return Err(unsupported(format!(
                "input '{name}' holds {found}, expected float or double"
            )));
        }
    };
    let sizes: Vec<_> = shape(input)
        .ok_or_else(|| unsupported(format!("input '{name}' has no shape, expected [1,5]")))?
        .dim
        .iter()
        .map(|dim| dim.value.as_ref())
        .collect();
    match sizes[..] {
        [rows, Some(Size::DimValue(columns @ 1..))] => match rows {
            Some(Size::DimValue(rows @ 1..)) => {
                Some((element, usize::try_from(*rows).ok(), *columns as usize))
            }
            None | Some(Size::DimParam(_)) => Some((element, None, *columns as usize)),
            Some(Size::DimValue(_)) => None,
        },
        _ => None,
    }
    .ok_or_else(|| {
        unsupported(format!(
            "input '{name}' has the shape {}, expected [1,5], [N,5] or [?,5]",
            Sizes(&sizes)
        ))
    })
}

/// The inputs that are not constants: old files list their initializers among the inputs.
pub(crate) fn open_inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let given: BTreeSet<_> = graph.initializer.iter().map(|tensor| &tensor.name).collect();
    graph.input.iter().filter(|input| !given.contains(&input.name)).collect()
}

fn output(graph: &GraphProto) -> Result<(usize, String)> {
    let names: Vec<_> = graph.output.iter().map(|output| output.name.as_str()).collect();
    let index = match names[..] {
        [_] => Some(0),
        _ => names.iter().position(|name| *name == "output"),
    };
    let index = index.ok_or_else(|| {
        unsupported(format!(
            "found {} outputs{}, expected one, or one that is called 'output'",
            names.len(),
            listed(names.iter().copied()),
        ))
    })?;
    let name = names[index];
    let mut given = graph
        .node
        .iter()
        .flat_map(|node| &node.output)
        .chain(graph.initializer.iter().map(|tensor| &tensor.name))
        .chain(graph.input.iter().map(|input| &input.name));
    if given.any(|given| given == name) {
        Ok((index, name.to_owned()))
    } else {
        Err(invalid(format!("nothing gives the output '{name}'")))
    }
}

/// tract would say which folder it could not enter; this says what is missing.
fn check_external_data(tensor: &TensorProto, folder: Option<&Path>) -> Result<()> {
    if tensor.data_location != Some(DataLocation::External as i32) {
        return Ok(());
    }
    let Some(location) = tensor.external_data.iter().find(|pair| pair.key == "location") else {
        return Ok(());
    };
    let path = folder.unwrap_or(Path::new("")).join(&location.value);
    let kept =
        format!("the values of initializer '{}' are kept in {}", tensor.name, path.display());
    match fs::metadata(&path) {
        // Not `NotFound`, which would say that the model itself is missing.
        Err(error) => Err(invalid(format!("{kept}, which cannot be read")).with_source(error)),
        Ok(data) if !data.is_file() => Err(invalid(format!("{kept}, which is not a file"))),
        Ok(data) if data.len() > MAX_FILE_BYTES => Err(invalid(format!(
            "{kept}, which has {} bytes, and at most {MAX_FILE_BYTES} are read",
            data.len()
        ))),
        Ok(_) => Ok(()),
    }
}

fn element(value: &ValueInfoProto) -> Option<DataType> {
    let Kind::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    DataType::try_from(tensor.elem_type).ok()
}

fn shape(value: &ValueInfoProto) -> Option<&TensorShapeProto> {
    let Kind::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    tensor.shape.as_ref()
}

/// A shape as it is written in the file.
struct Sizes<'a>(&'a [Option<&'a Size>]);

impl fmt::Display for Sizes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<_> = self
            .0
            .iter()
            .map(|size| match size {
                Some(Size::DimValue(value)) => value.to_string(),
                Some(Size::DimParam(name)) => name.clone(),
                None => "?".to_owned(),
            })
            .collect();
        write!(f, "[{}]", sizes.join(","))
    }
}

/// ` ('a', 'b')`, or nothing.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("'{name}'")).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}
