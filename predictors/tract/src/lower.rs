//! From the graph of a file to the steps of a [`Network`](hyperfake_predictor_dense::Network):
//! possible where the graph is a chain, in which each operator takes what the one before it gives
//! and constants.

mod constants;
mod graph;
mod inputs;
mod linear;

use std::collections::HashMap;

use hyperfake_predictor::{Error, Feature, Result};
use hyperfake_predictor_dense::{Activation, Dense, Network, Step};
use hyperfake_predictor_onnx::{
    Element, OnnxFile,
    pb::{NodeProto, tensor_proto::DataType},
};

use self::constants::{Numbers, broadcast, float};
pub(crate) use self::{
    constants::{Constants, integer, unread_attribute},
    graph::{consumers, described, keeps_rows, needed},
    inputs::Start,
};

/// A larger network is bound by memory in any runtime, and would take seconds to verify.
const MAX_MULTIPLICATIONS: usize = 1 << 20;

/// The network that a file holds.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) network: Network,
    /// The features that it takes, in its order.
    pub(crate) columns: Vec<Feature>,
}

/// The network that a file holds.
///
/// # Errors
///
/// `Unsupported` when the graph is not such a chain; the error names the node that breaks it.
pub(crate) fn network(file: &OnnxFile) -> Result<Lowered> {
    let Steps { steps, columns } = steps(file)?;
    let network = Network::new(columns.len(), steps)?;
    let (outputs, multiplications) = (network.outputs(), network.multiplications());
    let expected = file.signature.width();
    if outputs != expected {
        let message = format!("the network gives {outputs} numbers, expected {expected}");
        return Err(Error::unsupported(message));
    }
    if multiplications > MAX_MULTIPLICATIONS {
        return Err(Error::unsupported(format!(
            "dense takes networks of at most {MAX_MULTIPLICATIONS} multiplications, this one has \
             {multiplications}"
        )));
    }
    Ok(Lowered { network, columns })
}

/// What the graph does to its columns, in order.
#[derive(Debug)]
pub(crate) struct Steps {
    pub(crate) steps: Vec<Step>,
    pub(crate) columns: Vec<Feature>,
}

/// What the graph does to its inputs, in order.
pub(crate) fn steps(file: &OnnxFile) -> Result<Steps> {
    let missing = || Error::invalid("not an ONNX model: there is no graph");
    let graph = file.graph().ok_or_else(missing)?;
    let [output] = &*file.signature.outputs else {
        return Err(Error::unsupported("it gives three tensors, expected one"));
    };
    let consumers = consumers(graph, &[output]);
    let Start { mut value, columns, element } = Start::of(file, &consumers)?;
    let mut chain = Chain {
        file,
        constants: Constants::of(graph),
        consumers,
        width: columns.len(),
        element,
        double: false,
        steps: Vec::new(),
    };
    // A chain that is longer than the graph is a cycle.
    for _ in 0..=graph.node.len() {
        if value == output {
            if chain.double {
                linear::single_precision_suffices(&chain.steps).map_err(Error::unsupported)?;
            }
            return Ok(Steps { steps: chain.steps, columns });
        }
        value = chain.follow(value)?;
    }
    Err(Error::invalid("the graph contains a cycle"))
}

/// The path through a graph, up to some value.
struct Chain<'a> {
    file: &'a OnnxFile,
    constants: Constants<'a>,
    /// For each value the nodes that take it, as far as the output needs them.
    consumers: HashMap<&'a str, Vec<&'a NodeProto>>,
    /// How many numbers the value has.
    width: usize,
    /// The value's element type.
    element: Element,
    /// Whether anything was computed in double precision so far.
    double: bool,
    steps: Vec<Step>,
}

impl<'a> Chain<'a> {
    /// Takes the step from one value to the next.
    fn follow(&mut self, value: &str) -> Result<&'a str> {
        let consumers = self.consumers.get(value).cloned().unwrap_or_default();
        match consumers[..] {
            [] => Err(Error::unsupported(format!("nothing leads from '{value}' to the output"))),
            [node] => self.node(node, value).map_err(|why| refusal(node, &why)),
            [node, ref others @ ..] => self
                .softplus(&consumers, value)
                .or_else(|| self.side_by_side(&consumers, value))
                .ok_or_else(|| {
                    let others: Vec<_> = others.iter().map(|other| described(other)).collect();
                    refusal(node, &format!("'{value}' also goes to node {}", others.join(", ")))
                }),
        }
        .map(|(steps, next)| {
            self.steps.extend(steps);
            next
        })
    }

    /// What one node does to the value. The error is a reason.
    fn node(&mut self, node: &'a NodeProto, value: &str) -> Result<(Vec<Step>, &'a str), String> {
        let next = node.output.first().ok_or("it gives nothing")?.as_str();
        let linear = node.domain == "ai.onnx.ml" && node.op_type == "LinearRegressor";
        if !linear && !matches!(node.domain.as_str(), "" | "ai.onnx") {
            return Err(format!("it is of the domain {}", node.domain));
        }
        if node.input.iter().filter(|input| *input == value).count() != 1 {
            return Err("it takes its input twice".to_owned());
        }
        let op = node.op_type.as_str();
        if let Some(attribute) = unread_attribute(node) {
            return Err(format!("it has the attribute '{attribute}'"));
        }
        if self.element == Element::F64 {
            match op {
                "Cast" | "Identity" | "Dropout" | "Flatten" | "Reshape" => {}
                "Add" | "Sub" | "Mul" | "Div" | "MatMul" | "Relu" | "LinearRegressor" => {
                    self.double = true;
                }
                _ => return Err("it computes in double precision".to_owned()),
            }
        }
        let first = node.input.first().is_some_and(|input| input == value);
        if !first && !matches!(op, "Add" | "Sub" | "Mul") {
            return Err("what leads to it is not its first input".to_owned());
        }
        let steps = match op {
            "Add" => vec![Step::Add(self.operand(node, usize::from(first))?)],
            "Mul" => vec![Step::Mul(self.operand(node, usize::from(first))?)],
            "Sub" => {
                let numbers = self.operand(node, usize::from(first))?;
                match first {
                    true => vec![Step::Add(negated(numbers))],
                    false => vec![Step::Mul(vec![-1.0; self.width]), Step::Add(numbers)],
                }
            }
            "Div" => vec![Step::Div(self.operand(node, 1)?)],
            "Neg" => vec![Step::Mul(vec![-1.0; self.width])],
            "Gemm" => self.gemm(node)?,
            "MatMul" => self.product(node)?,
            "LinearRegressor" if linear => self.linear_regressor(node)?,
            "BatchNormalization" => self.normalization(node)?,
            "Relu" => vec![Step::Activation(Activation::Relu)],
            "LeakyRelu" => {
                let slope = float(node, "alpha").unwrap_or(0.01);
                vec![Step::Activation(Activation::LeakyRelu { slope })]
            }
            "Elu" => {
                let scale = float(node, "alpha").unwrap_or(1.0);
                vec![Step::Activation(Activation::Elu { scale })]
            }
            "Tanh" => vec![Step::Activation(Activation::Tanh)],
            "Sigmoid" => vec![Step::Activation(Activation::Sigmoid)],
            "Exp" => vec![Step::Activation(Activation::Exp)],
            "Softplus" => {
                vec![Step::Activation(Activation::Softplus { linear_above: f32::INFINITY })]
            }
            "Clip" => {
                let bound = |index: usize, name: &str, default: f32| match node.input.get(index) {
                    Some(input) if !input.is_empty() => self.constants.scalar(input),
                    _ => Ok(float(node, name).unwrap_or(default)),
                };
                let low = bound(1, "min", f32::NEG_INFINITY)?;
                let high = bound(2, "max", f32::INFINITY)?;
                vec![Step::Activation(Activation::Clip { low, high })]
            }
            "Identity" => Vec::new(),
            "Dropout" => self.dropout(node)?,
            "Cast" => self.cast(node)?,
            "Flatten" if integer(node, "axis").unwrap_or(1) == 1 => Vec::new(),
            "Reshape" => self.reshape(node)?,
            _ => return Err(String::new()),
        };
        Ok((steps, next))
    }

    /// `Where(x > threshold, x, Softplus(x))`: a softplus that does not overflow, as PyTorch's
    /// exporter writes it. Nothing when the nodes that take `value` are something else.
    fn softplus(&self, nodes: &[&'a NodeProto], value: &str) -> Option<(Vec<Step>, &'a str)> {
        let of = |op: &str| nodes.iter().find(|node| node.op_type == op && node.domain.is_empty());
        let (greater, softplus, choice) = (of("Greater")?, of("Softplus")?, of("Where")?);
        let [left, threshold] = greater.input.as_slice() else { return None };
        let [condition, then, otherwise] = choice.input.as_slice() else { return None };
        let only = |node: &NodeProto, name: &String| {
            let takers = self.consumers.get(name.as_str()).map_or(0, Vec::len);
            node.output.first() == Some(name) && takers == 1
        };
        let wired = nodes.len() == 3
            && left == value
            && then == value
            && only(greater, condition)
            && only(softplus, otherwise);
        if !wired || self.element != Element::F32 {
            return None;
        }
        let linear_above = self.constants.scalar(threshold).ok()?;
        let step = Step::Activation(Activation::Softplus { linear_above });
        Some((vec![step], choice.output.first()?))
    }

    /// `alpha * x * B + beta * C`
    fn gemm(&mut self, node: &NodeProto) -> Result<Vec<Step>, String> {
        if integer(node, "transA").unwrap_or(0) != 0 {
            return Err("it transposes its input".to_owned());
        }
        let transposed = integer(node, "transB").unwrap_or(0) != 0;
        let alpha = float(node, "alpha").unwrap_or(1.0);
        let beta = float(node, "beta").unwrap_or(1.0);
        let mut weights = self.weights(node, transposed)?;
        weights.iter_mut().for_each(|weight| *weight *= alpha);
        let bias = match node.input.get(2) {
            Some(name) if !name.is_empty() => {
                self.operand(node, 2)?.iter().map(|bias| bias * beta).collect()
            }
            _ => vec![0.0; self.width],
        };
        Ok(vec![Step::Dense(Dense { weights, bias })])
    }

    fn product(&mut self, node: &NodeProto) -> Result<Vec<Step>, String> {
        let weights = self.weights(node, false)?;
        Ok(vec![Step::Dense(Dense { weights, bias: vec![0.0; self.width] })])
    }

    /// The second input as `[outputs, inputs]`; the outputs are the new width.
    fn weights(&mut self, node: &NodeProto, transposed: bool) -> Result<Vec<f32>, String> {
        let Numbers { dims, values } =
            self.constants.rounded(node.input.get(1).map_or("", |name| name))?;
        let (inputs, outputs) = match dims[..] {
            [outputs, inputs] if transposed => (inputs, outputs),
            [inputs, outputs] if !transposed => (inputs, outputs),
            _ => return Err(format!("its weights have the shape {dims:?}")),
        };
        if inputs != self.width {
            let width = self.width;
            return Err(format!("its weights have the shape {dims:?}, its input has {width}"));
        }
        self.width = outputs;
        if transposed {
            return Ok(values);
        }
        let rows = (0..outputs).flat_map(|output| values.iter().skip(output).step_by(outputs));
        Ok(rows.copied().collect())
    }

    /// `(x - mean) / sqrt(variance + epsilon) * scale + shift`, worked out as one product and
    /// one sum.
    fn normalization(&self, node: &NodeProto) -> Result<Vec<Step>, String> {
        let test = |name: &str| integer(node, name).is_some_and(|value| value != 0);
        // Files of the first opsets say that they are not for training; newer ones that they are.
        if test("training_mode") || (self.opset() < 7 && !test("is_test")) {
            return Err("it is made for training".to_owned());
        }
        let epsilon = f64::from(float(node, "epsilon").unwrap_or(1e-5));
        let [scale, shift, mean, variance] = [1, 2, 3, 4].map(|index| self.operand(node, index));
        let numbers = scale?.into_iter().zip(shift?).zip(mean?.into_iter().zip(variance?));
        let (factors, shifts) = numbers
            .map(|((scale, shift), (mean, variance))| {
                let factor = f64::from(scale) / (f64::from(variance) + epsilon).sqrt();
                (factor as f32, (f64::from(shift) - f64::from(mean) * factor) as f32)
            })
            .unzip();
        Ok(vec![Step::Mul(factors), Step::Add(shifts)])
    }

    /// Outside training it does nothing.
    fn dropout(&self, node: &NodeProto) -> Result<Vec<Step>, String> {
        match node.input.get(2) {
            Some(name) if !name.is_empty() => Err("it may be made for training".to_owned()),
            _ if self.opset() < 7 && integer(node, "is_test").unwrap_or(0) == 0 => {
                Err("it is made for training".to_owned())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn cast(&mut self, node: &NodeProto) -> Result<Vec<Step>, String> {
        let to = integer(node, "to").and_then(|to| DataType::try_from(to as i32).ok());
        self.element = match to {
            Some(DataType::Float) => Element::F32,
            Some(DataType::Double) => Element::F64,
            _ => return Err("it casts to something else than float or double".to_owned()),
        };
        Ok(Vec::new())
    }

    /// A shape that leaves each row as it is.
    fn reshape(&self, node: &NodeProto) -> Result<Vec<Step>, String> {
        let name = node.input.get(1).map_or("", |name| name);
        let shape = self.constants.numbers(name)?.values;
        if keeps_rows(node, &shape, self.width, self.file.signature.rows) {
            return Ok(Vec::new());
        }
        Err(format!("it reshapes to {shape:?}"))
    }

    /// A constant input as a number for each column.
    fn operand(&self, node: &NodeProto, index: usize) -> Result<Vec<f32>, String> {
        if let Some(axis) = integer(node, "axis") {
            return Err(format!("it has an axis, {axis}"));
        }
        let name = node.input.get(index).map_or("", |name| name);
        let Numbers { dims, values } = self.constants.rounded(name)?;
        broadcast(name, &dims, &values, self.width)
    }

    /// The version of the standard operators.
    fn opset(&self) -> i64 {
        let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        let opsets = &self.file.model.opset_import;
        opsets.iter().find(|opset| standard(&opset.domain)).map_or(0, |opset| opset.version)
    }
}

fn negated(mut numbers: Vec<f32>) -> Vec<f32> {
    numbers.iter_mut().for_each(|number| *number = -*number);
    numbers
}

fn refusal(node: &NodeProto, why: &str) -> Error {
    let separator = if why.is_empty() { "" } else { ": " };
    Error::unsupported(format!("dense cannot lower node {}{separator}{why}", described(node)))
}
