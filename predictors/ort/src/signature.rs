use hyperfake_predictor::{Error, ErrorKind, Output, Result};
use ort::{
    session::Session,
    value::{Outlet, Shape, TensorElementType, ValueType},
};

/// What a model takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    /// The input's element type.
    pub(crate) element: Element,
    /// The input's batch size; 1 if it is free.
    pub(crate) rows: usize,
    /// How many numbers a row has; not checked here, because settings say what they are.
    pub(crate) columns: usize,
    /// The outputs that count: one of three numbers, or three of one number.
    pub(crate) outputs: Vec<String>,
}

/// The element type of an input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    F64,
}

/// A model that insists on a larger batch than this is refused: each call would compute it all.
const MAX_ROWS: usize = 1024;

impl Signature {
    pub(crate) fn of(session: &Session) -> Result<Self> {
        let (element, rows, columns) = input(session.inputs())?;
        Ok(Self { element, rows, columns, outputs: outputs(session.outputs())? })
    }
}

impl Element {
    pub(crate) fn of(element: TensorElementType) -> Option<Self> {
        match element {
            TensorElementType::Float32 => Some(Self::F32),
            TensorElementType::Float64 => Some(Self::F64),
            _ => None,
        }
    }
}

/// What is found where a tensor of numbers is expected: `[1,3] of int64`.
pub(crate) fn described(value: &ValueType) -> String {
    match value {
        ValueType::Tensor { ty, shape, .. } => format!("{} of {}", sizes(shape), type_name(*ty)),
        other => other.to_string(),
    }
}

/// A shape as it is written in the file, `[1,5]`; a free size is `?`.
fn sizes(shape: &Shape) -> String {
    let sizes: Vec<_> = shape
        .iter()
        .map(|size| if *size < 0 { "?".to_owned() } else { size.to_string() })
        .collect();
    format!("[{}]", sizes.join(","))
}

fn input(inputs: &[Outlet]) -> Result<(Element, usize, usize)> {
    let [input] = inputs else {
        return Err(unsupported(format!(
            "found {} inputs{}, expected one of the shape [1,k], [N,k] or [?,k]",
            inputs.len(),
            listed(inputs)
        )));
    };
    let name = input.name();
    let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
        return Err(unsupported(format!(
            "input '{name}' is {}, expected a tensor of the shape [1,k], [N,k] or [?,k]",
            input.dtype()
        )));
    };
    let Some(element) = Element::of(*ty) else {
        let found = type_name(*ty);
        return Err(unsupported(format!("input '{name}' holds {found}, expected float or double")));
    };
    match shape[..] {
        [rows, columns] if rows != 0 && columns > 0 => {
            let rows = usize::try_from(rows).unwrap_or(1);
            if rows > MAX_ROWS {
                return Err(unsupported(format!(
                    "input '{name}' takes {rows} rows at once, expected at most {MAX_ROWS}"
                )));
            }
            Ok((element, rows, columns as usize))
        }
        _ => Err(unsupported(format!(
            "input '{name}' has the shape {}, expected [1,k], [N,k] or [?,k]",
            sizes(shape)
        ))),
    }
}

fn outputs(outputs: &[Outlet]) -> Result<Vec<String>> {
    let names = || outputs.iter().map(|output| output.name().to_owned());
    if let [output] = outputs {
        return Ok(vec![output.name().to_owned()]);
    }
    if let Some(output) = names().find(|name| name == "output") {
        return Ok(vec![output]);
    }
    if outputs.len() == Output::ALL.len() && outputs.iter().all(is_one_number) {
        return Ok(names().collect());
    }
    Err(unsupported(format!(
        "found {} outputs{}, expected one, or one that is called 'output', or three of one number",
        outputs.len(),
        listed(outputs)
    )))
}

/// One number for each row, as far as the file says.
fn is_one_number(output: &Outlet) -> bool {
    match output.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            Element::of(*ty).is_some() && matches!(shape[..], [] | [_] | [_, 1])
        }
        _ => false,
    }
}

/// The ONNX name of an element type.
fn type_name(element: TensorElementType) -> String {
    match element {
        TensorElementType::Float32 => "float".to_owned(),
        TensorElementType::Float64 => "double".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// ` ('a', 'b')`, or nothing.
fn listed(outlets: &[Outlet]) -> String {
    let names: Vec<_> = outlets.iter().map(|outlet| format!("'{}'", outlet.name())).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}
