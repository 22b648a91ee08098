//! How many numbers a graph's nodes would give, as far as the file states it.
//!
//! A file of a few hundred bytes can ask for a tensor of any size, and an engine works it out when
//! it opens the file: the worker would be out of memory before the engine could refuse. So the
//! shapes that follow from constants, and from the input for one row, are worked out here first.
//! Where they depend on anything else they are not known, and nothing is refused.

mod shape;

use std::collections::HashMap;

use hyperfake_predictor::{Error, Result};
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use crate::{Port, Size};

/// The most numbers that all nodes of a graph may give together for one row: 256 MiB in single
/// precision, as much as a file may hold.
const MAX_NUMBERS: u64 = 1 << 26;

/// The nesting of graphs in nodes that is looked at.
const MAX_DEPTH: usize = 8;

/// Refuses a graph that would need much memory.
///
/// # Errors
///
/// `Unsupported` with the node that would give too many numbers.
pub(crate) fn check(graph: &GraphProto) -> Result<()> {
    Sizes::of(graph).map(drop)
}

/// The shapes of a graph's values for one row, as far as they follow from its constants: sizes that
/// are not known are at least these, and values that are missing are not known at all.
#[must_use]
pub fn shapes(graph: &GraphProto) -> HashMap<String, Vec<u64>> {
    Sizes::of(graph).map(|sizes| sizes.shapes).unwrap_or_default()
}

fn known_inputs(graph: &GraphProto) -> HashMap<String, Vec<u64>> {
    let (inputs, _) = Port::of_graph(graph);
    let mut shapes = HashMap::new();
    for input in inputs {
        let Some(shape) = input.shape else { continue };
        // One row at a time; a free size is at least one.
        let shape = shape.iter().map(|size| match size {
            Size::Fixed(size) if *size <= 64 => *size as u64,
            _ => 1,
        });
        shapes.insert(input.name, shape.collect());
    }
    shapes
}

#[derive(Default)]
struct Sizes<'a> {
    /// The shapes of values that are known, or what they are at least.
    shapes: HashMap<String, Vec<u64>>,
    constants: HashMap<&'a str, Constant<'a>>,
    /// The numbers of all nodes so far.
    total: u64,
}

#[derive(Clone, Copy)]
enum Constant<'a> {
    Tensor(&'a TensorProto),
    /// Of a `Constant` node.
    Attribute(&'a AttributeProto),
}

impl<'a> Sizes<'a> {
    fn of(graph: &'a GraphProto) -> Result<Self> {
        let mut sizes = Self { shapes: known_inputs(graph), ..Self::default() };
        sizes.graph(graph, 0)?;
        Ok(sizes)
    }

    fn graph(&mut self, graph: &'a GraphProto, depth: usize) -> Result<()> {
        for tensor in &graph.initializer {
            self.constant(&tensor.name, Constant::Tensor(tensor));
        }
        for node in &graph.node {
            self.node(node)?;
            if depth < MAX_DEPTH {
                for attribute in &node.attribute {
                    for inner in attribute.g.iter().chain(&attribute.graphs) {
                        self.graph(inner, depth + 1)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn constant(&mut self, name: &'a str, constant: Constant<'a>) {
        let shape = match constant {
            Constant::Tensor(tensor) => {
                tensor.dims.iter().map(|size| u64::try_from(*size).ok()).collect()
            }
            Constant::Attribute(attribute) => match attribute.name.as_str() {
                "value_floats" => Some(vec![attribute.floats.len() as u64]),
                "value_ints" => Some(vec![attribute.ints.len() as u64]),
                _ => Some(Vec::new()),
            },
        };
        if let Some(shape) = shape {
            self.shapes.insert(name.to_owned(), shape);
        }
        self.constants.insert(name, constant);
    }

    fn node(&mut self, node: &'a NodeProto) -> Result<()> {
        let Some(output) = node.output.first() else { return Ok(()) };
        if node.op_type == "Constant" {
            if let Some(attribute) = node.attribute.first() {
                let tensor = attribute.t.as_ref().map(Constant::Tensor);
                self.constant(output, tensor.unwrap_or(Constant::Attribute(attribute)));
            }
            return Ok(());
        }
        let Some(shape) = self.shape(node) else { return Ok(()) };
        let count = shape.iter().fold(1_u64, |count, size| count.saturating_mul(*size));
        self.total = self.total.saturating_add(count);
        if self.total > MAX_NUMBERS {
            let name = if node.name.is_empty() { output } else { &node.name };
            let sizes: Vec<_> = shape.iter().map(ToString::to_string).collect();
            return Err(Error::unsupported(format!(
                "node '{name}' ({}) gives [{}], and all nodes together may give {MAX_NUMBERS} \
                     numbers for a row",
                node.op_type,
                sizes.join(",")
            )));
        }
        // Of several outputs, as `Split` gives them, each has as many dimensions.
        let shapes = node.output.iter().map(|name| (name.clone(), shape.clone()));
        self.shapes.extend(shapes.take(if node.op_type == "Split" { usize::MAX } else { 1 }));
        Ok(())
    }
}
