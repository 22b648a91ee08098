//! Which operators tract is known to compute as ONNX defines them.
//!
//! tract builds each operator by its name. An attribute that its builder does not read, and an
//! element type or an opset whose rules it does not know, make it compute something else without
//! a word. So a graph is served only when [`TABLE`] has a row for each of its nodes: operators,
//! opsets, element types and attributes that were compared with right answers, by
//! `tests/onnx/generate.py` and by the tests of this crate. Anything else is declined in one line.

mod functions;
mod ranks;
mod table;
mod types;

use std::collections::{BTreeSet, HashMap};

use hyperfake_predictor::{Error, Result};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

pub(crate) use self::functions::replace;
use self::{table::TABLE, types::Types};

/// The newest opset of the standard operators that was compared.
pub(crate) const NEWEST: i64 = 25;

/// A file whose nodes are in the order of computation takes two.
const MAX_PASSES: usize = 100;

/// What else must hold of a node; the error is what tract is not known to compute.
type Condition = fn(&Node<'_>) -> std::result::Result<(), String>;

/// What is known about an operator of some opsets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Empty for the standard operators.
    domain: &'static str,
    name: &'static str,
    /// The first and the last opset of its domain.
    opsets: (i64, i64),
    /// The element types of its first input, or of its output if it has no input.
    types: &'static [DataType],
    output: Output,
    /// All others are declined.
    attributes: &'static [(&'static str, Values)],
    /// Whether tract ignores NaN where the standard propagates it.
    numbers_only: bool,
    also: Option<Condition>,
}

/// The element type of an operator's outputs.
#[derive(Debug, Clone, Copy)]
enum Output {
    /// That of the input with this index.
    Like(usize),
    /// These, in the order of the outputs.
    Are(&'static [DataType]),
    /// What an attribute says, or the type of the first input.
    Stated(&'static str),
    /// That of the attribute that holds a constant, or float.
    Constant,
    /// Those of the graphs in its attributes.
    Inner,
}

/// The values of an attribute that were compared.
#[derive(Debug, Clone, Copy)]
enum Values {
    /// Any: tract reads it.
    Any,
    /// Only these numbers.
    Ints(&'static [i64]),
    /// Only these words.
    Words(&'static [&'static str]),
    /// It does not matter outside training.
    Ignored,
}

impl Row {
    const fn new(
        name: &'static str,
        first: i64,
        types: &'static [DataType],
        output: Output,
        attributes: &'static [(&'static str, Values)],
    ) -> Self {
        let opsets = (first, NEWEST);
        Self {
            domain: "",
            name,
            opsets,
            types,
            output,
            attributes,
            numbers_only: false,
            also: None,
        }
    }

    const fn of(self, domain: &'static str) -> Self {
        Self { domain, opsets: (1, i64::MAX), ..self }
    }

    const fn until(self, last: i64) -> Self {
        Self { opsets: (self.opsets.0, last), ..self }
    }

    const fn numbers_only(self) -> Self {
        Self { numbers_only: true, ..self }
    }

    const fn also(self, also: Condition) -> Self {
        Self { also: Some(also), ..self }
    }

    /// The operator and its opsets, as in `Clip 6 to 10` or `com.microsoft.Gelu`.
    fn title(&self) -> String {
        match (self.domain, self.opsets) {
            ("", (first, NEWEST)) => format!("{} {first}", self.name),
            ("", (first, last)) => format!("{} {first} to {last}", self.name),
            (domain, _) => format!("{domain}.{}", self.name),
        }
    }
}

/// The operators that [`TractBackend`](crate::TractBackend) serves, and from which opset on: one
/// line for each row of its table, as in `Clip 11`.
pub fn operators() -> impl Iterator<Item = String> {
    TABLE.iter().map(Row::title)
}

/// A node, with what is known about its inputs.
pub(crate) struct Node<'a> {
    proto: &'a NodeProto,
    inputs: Vec<Option<DataType>>,
    types: &'a Types<'a>,
}

impl Node<'_> {
    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name).map(|attribute| attribute.i)
    }

    /// Whether an input is given.
    fn has_input(&self, index: usize) -> bool {
        self.proto.input.get(index).is_some_and(|name| !name.is_empty())
    }

    /// Whether an output is wanted.
    fn has_output(&self, index: usize) -> bool {
        self.proto.output.get(index).is_some_and(|name| !name.is_empty())
    }

    fn input(&self, index: usize) -> Option<DataType> {
        self.inputs.get(index).copied().flatten()
    }

    /// The whole numbers of a constant input.
    fn constant(&self, index: usize) -> Option<Vec<i64>> {
        self.types.numbers(self.proto.input.get(index)?)
    }

    /// Whether it works with sizes and constants only.
    fn is_fixed(&self) -> bool {
        !self.proto.input.iter().any(|name| self.types.is_variable(name))
    }
}

/// Declines a model with a node that no row of the table allows.
pub(crate) fn check(model: &ModelProto) -> Result<()> {
    let Some(graph) = &model.graph else { return Ok(()) };
    if let Some(function) = model.functions.first() {
        return Err(declined(&format!(
            "functions that a file defines itself, such as {}",
            function.name.as_deref().unwrap_or_default()
        )));
    }
    let opsets: HashMap<&str, i64> =
        model.opset_import.iter().map(|opset| (standard(&opset.domain), opset.version)).collect();
    let opset = opsets.get("").copied().unwrap_or(1);
    if opset > NEWEST {
        return Err(declined(&format!("opset {opset}, which is newer than {NEWEST}")));
    }
    let mut unknown = BTreeSet::new();
    names(graph, &mut unknown);
    if !unknown.is_empty() {
        let names = Vec::from_iter(unknown).join(", ");
        return Err(Error::unsupported(format!(
            "tract does not support the operator {names}; {HELP}"
        )));
    }
    nodes(graph, &opsets, &mut Types::default())?;
    ranks::check(graph)
}

/// The operators for which the table has no row at all.
fn names(graph: &GraphProto, unknown: &mut BTreeSet<String>) {
    for node in &graph.node {
        let domain = standard(&node.domain);
        if !TABLE.iter().any(|row| (row.domain, row.name) == (domain, node.op_type.as_str())) {
            unknown.insert(qualified(domain, &node.op_type));
        }
        inner(node).for_each(|graph| names(graph, unknown));
    }
}

/// Checks the nodes of a graph, which sees what the graphs around it give.
fn nodes<'a>(
    graph: &'a GraphProto,
    opsets: &HashMap<&str, i64>,
    types: &mut Types<'a>,
) -> Result<()> {
    types.enter(graph);
    // Files may list their nodes in any order, which tract allows.
    let mut open: Vec<&NodeProto> = graph.node.iter().collect();
    for _ in 0..MAX_PASSES {
        let before = open.len();
        let mut later = Vec::new();
        for node in open {
            if node.input.iter().all(|name| name.is_empty() || types.get(name).is_some()) {
                check_node(node, opsets, types)?;
            } else {
                later.push(node);
            }
        }
        if later.len() == before {
            // There is none left; or nothing gives their inputs, or they wait for each other, and
            // tract refuses the file.
            return Ok(());
        }
        open = later;
    }
    Err(declined("nodes in such disorder"))
}

fn check_node<'a>(
    proto: &'a NodeProto,
    opsets: &HashMap<&str, i64>,
    types: &mut Types<'a>,
) -> Result<()> {
    let domain = standard(&proto.domain);
    let opset = opsets.get(domain).copied().unwrap_or(1);
    let rows =
        TABLE.iter().filter(|row| (row.domain, row.name) == (domain, proto.op_type.as_str()));
    let row = rows.clone().find(|row| (row.opsets.0..=row.opsets.1).contains(&opset));
    let refused = |what: &str| {
        let name = proto.output.iter().find(|name| !name.is_empty());
        let name = if proto.name.is_empty() { name } else { Some(&proto.name) };
        let name = name.map_or_else(String::new, |name| format!(" (node '{name}')"));
        declined(&format!("{}{what}{name}", qualified(domain, &proto.op_type)))
    };
    let row = row.ok_or_else(|| refused(&format!(" of opset {opset}")))?;
    for attribute in &proto.attribute {
        let values = row.attributes.iter().find(|(name, _)| *name == attribute.name);
        if !values.is_some_and(|(_, values)| values.include(attribute)) {
            return Err(refused(&format!(" with {} = {}", attribute.name, written(attribute))));
        }
    }
    for graph in inner(proto) {
        nodes(graph, opsets, &mut types.clone())?;
    }
    let inputs = proto.input.iter().map(|name| types.get(name)).collect();
    let node = Node { proto, inputs, types };
    let outputs = types.of(&node, row.output);
    if let Some(element) = node.input(0).or_else(|| outputs.first().copied().flatten()) {
        // tract counts in 32 bits here and there, which is enough for sizes.
        let size = element == DataType::Int64 && node.is_fixed();
        let known = |element| row.types.contains(&element);
        if !known(element) && (!size || !known(DataType::Int32)) {
            return Err(refused(&format!(" of {}", types::name(element))));
        }
    }
    if row.numbers_only && proto.input.iter().any(|name| types.may_be_nan(name)) {
        return Err(refused(" of what may be no number, such as a logarithm"));
    }
    if let Some(also) = row.also {
        also(&node).map_err(|what| refused(&format!(" {what}")))?;
    }
    types.set_outputs(proto, &outputs);
    Ok(())
}

impl Values {
    fn include(self, attribute: &AttributeProto) -> bool {
        match self {
            Self::Any | Self::Ignored => true,
            Self::Ints(values) => values.contains(&attribute.i),
            Self::Words(values) => values.iter().any(|value| value.as_bytes() == &*attribute.s),
        }
    }
}

/// The graphs in a node's attributes: the branches of an `If`, the body of a `Scan`.
fn inner(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// The standard operators' domain has two names.
fn standard(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

fn qualified(domain: &str, name: &str) -> String {
    if domain.is_empty() { name.to_owned() } else { format!("{domain}.{name}") }
}

/// An attribute's value, as short as a message needs it.
fn written(attribute: &AttributeProto) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match AttributeType::try_from(attribute.r#type) {
        Ok(AttributeType::Int) => attribute.i.to_string(),
        Ok(AttributeType::Float) => attribute.f.to_string(),
        Ok(AttributeType::String) => text(&attribute.s),
        Ok(AttributeType::Ints) => format!("{:?}", attribute.ints),
        Ok(AttributeType::Floats) => format!("{:?}", attribute.floats),
        Ok(AttributeType::Strings) => {
            let words: Vec<_> = attribute.strings.iter().map(|word| text(word)).collect();
            format!("[{}]", words.join(", "))
        }
        Ok(other) => format!("a {}", other.as_str_name().to_lowercase()),
        Err(_) => "a value of an unknown type".to_owned(),
    }
}

/// What helps.
const HELP: &str = "ONNX Runtime may (backend 'ort')";

fn declined(what: &str) -> Error {
    Error::unsupported(format!("tract is not known to compute {what}; {HELP}"))
}
