//! From the graph of a file to trees and the arithmetic around them.

use std::collections::HashMap;

use hyperfake_predictor::{Error, Feature, Output, Result};
use hyperfake_predictor_onnx::{
    Element, OnnxFile,
    pb::{NodeProto, tensor_proto::DataType},
};
use hyperfake_predictor_trees::Forest;

use super::ensemble;
use crate::lower::{
    Constants, Start, consumers, described, integer, keeps_rows, needed, unread_attribute,
};

/// What a graph does to its input.
#[derive(Debug)]
pub(super) struct Graph {
    /// What it is given.
    pub(super) columns: Vec<Feature>,
    /// The type in which it is given that: float or double.
    pub(super) element: Element,
    /// On the inputs, in order.
    pub(super) before: Vec<Step>,
    /// Each is given what `before` makes of the inputs.
    pub(super) forests: Vec<Forest>,
    /// Run time, CPU, RAM.
    pub(super) answers: [Answer; 3],
}

/// One number of a forest, and what becomes of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) forest: usize,
    pub(super) target: usize,
    /// Each with one number.
    pub(super) after: Vec<Step>,
}

/// Arithmetic on each of some values.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Adds a number to each value.
    Add(Vec<f64>),
    /// Subtracts a number from each value.
    Sub(Vec<f64>),
    /// Multiplies each value by a number.
    Mul(Vec<f64>),
    /// Divides each value by a number.
    Div(Vec<f64>),
    /// Rounds each value to single precision. After one operation in double precision on numbers
    /// in single precision, that gives what the operation in single precision gives.
    Round,
}

impl Step {
    pub(super) fn apply(&self, values: &mut [f64]) {
        match self {
            Self::Add(numbers) => each(values, numbers, |value, number| value + number),
            Self::Sub(numbers) => each(values, numbers, |value, number| value - number),
            Self::Mul(numbers) => each(values, numbers, |value, number| value * number),
            Self::Div(numbers) => each(values, numbers, |value, number| value / number),
            Self::Round => values.iter_mut().for_each(|value| *value = f64::from(*value as f32)),
        }
    }

    /// What has to be given for one of the values, so that this comes out; about.
    pub(super) fn undone(&self, column: usize, value: f64) -> f64 {
        match self {
            Self::Add(numbers) => value - numbers[column],
            Self::Sub(numbers) => value + numbers[column],
            Self::Mul(numbers) => value / numbers[column],
            Self::Div(numbers) => value * numbers[column],
            Self::Round => value,
        }
    }

    /// The same for one of the values.
    fn of_column(&self, column: usize) -> Self {
        match self {
            Self::Add(numbers) => Self::Add(vec![numbers[column]]),
            Self::Sub(numbers) => Self::Sub(vec![numbers[column]]),
            Self::Mul(numbers) => Self::Mul(vec![numbers[column]]),
            Self::Div(numbers) => Self::Div(vec![numbers[column]]),
            Self::Round => Self::Round,
        }
    }
}

fn each(values: &mut [f64], numbers: &[f64], function: impl Fn(f64, f64) -> f64) {
    for (value, number) in values.iter_mut().zip(numbers) {
        *value = function(*value, *number);
    }
}

/// A value of the graph: what it is made of, and its element type.
#[derive(Clone)]
enum Value {
    /// The inputs after some steps.
    Inputs(Vec<Step>, Element),
    /// Numbers of forests.
    Answers(Vec<Answer>, Element),
}

impl Graph {
    /// # Errors
    ///
    /// `Unsupported` when the graph is something else; the error names the node.
    pub(super) fn of(file: &OnnxFile) -> Result<Self> {
        let missing = || Error::invalid("not an ONNX model: there is no graph");
        let graph = file.graph().ok_or_else(missing)?;
        let outputs: Vec<&str> = file.signature.outputs.iter().map(String::as_str).collect();
        if !graph.node.iter().any(ensemble::is_ensemble) {
            return Err(Error::unsupported("the graph has no decision trees"));
        }
        let Start { value, columns, element } = Start::of(file, &consumers(graph, &outputs))?;
        let mut lowering = Lowering {
            width: columns.len(),
            rows: file.signature.rows,
            constants: Constants::of(graph),
            values: HashMap::from([(value, Value::Inputs(Vec::new(), element))]),
            before: None,
            forests: Vec::new(),
        };
        for index in needed(graph, &outputs) {
            let node = &graph.node[index];
            let known = node.output.first().is_some_and(|name| *name == value);
            if known || node.op_type == "Constant" {
                continue;
            }
            let given = lowering.node(node).map_err(|why| refusal(node, &why))?;
            let name = node.output.first().map_or("", String::as_str);
            lowering.values.insert(name, given);
        }
        let mut answers = Vec::new();
        for output in outputs {
            let Some(Value::Answers(more, _)) = lowering.values.get(output) else {
                return Err(Error::unsupported(format!("'{output}' is not what the trees answer")));
            };
            answers.extend(more.iter().cloned());
        }
        let count = answers.len();
        let answers = answers.try_into().map_err(|_| {
            let expected = Output::ALL.len();
            Error::unsupported(format!("the trees give {count} numbers, expected {expected}"))
        })?;
        let before = lowering.before.unwrap_or_default();
        Ok(Self { columns, element, before, forests: lowering.forests, answers })
    }
}

struct Lowering<'a> {
    /// How many columns the inputs have.
    width: usize,
    /// The batch size on which the file insists.
    rows: Option<usize>,
    constants: Constants<'a>,
    /// What the nodes so far give.
    values: HashMap<&'a str, Value>,
    /// The steps before the forests, once there is one.
    before: Option<Vec<Step>>,
    forests: Vec<Forest>,
}

impl<'a> Lowering<'a> {
    /// What a node gives. The error is a reason.
    fn node(&mut self, node: &'a NodeProto) -> Result<Value, String> {
        if ensemble::is_ensemble(node) {
            return self.ensemble(node);
        }
        if !matches!(node.domain.as_str(), "" | "ai.onnx") {
            return Err(format!("it is of the domain {}", node.domain));
        }
        if let Some(attribute) = unread_attribute(node) {
            return Err(format!("it has the attribute '{attribute}'"));
        }
        match node.op_type.as_str() {
            "Identity" => self.input(node, 0),
            "Flatten" if integer(node, "axis").unwrap_or(1) == 1 => self.input(node, 0),
            "Cast" => self.cast(node),
            "Reshape" => self.reshape(node),
            "Concat" => self.concat(node),
            "Add" | "Mul" | "Sub" | "Div" => self.arithmetic(node),
            _ => Err(String::new()),
        }
    }

    fn input(&self, node: &NodeProto, index: usize) -> Result<Value, String> {
        let name = node.input.get(index).map_or("", String::as_str);
        let value = self.values.get(name);
        value.cloned().ok_or_else(|| format!("no node before it gives '{name}'"))
    }

    fn ensemble(&mut self, node: &NodeProto) -> Result<Value, String> {
        let Value::Inputs(steps, element) = self.input(node, 0)? else {
            return Err("it takes what other trees answer".to_owned());
        };
        if self.before.as_ref().is_some_and(|before| *before != steps) {
            return Err("it does not take the same inputs as the trees before it".to_owned());
        }
        if self.forests.len() == Output::ALL.len() {
            return Err("there are more than three ensembles".to_owned());
        }
        let ensemble = ensemble::ensemble(node, self.width, element)?;
        let forest = Forest::new(&ensemble).map_err(|error| error.to_string())?;
        // `TreeEnsembleRegressor` answers in single precision for inputs of any type.
        let element = if node.op_type == "TreeEnsemble" { element } else { Element::F32 };
        let answer = |target| Answer {
            forest: self.forests.len(),
            target,
            after: rounding(element).into_iter().collect(),
        };
        let answers = (0..forest.targets()).map(answer).collect();
        self.before = Some(steps);
        self.forests.push(forest);
        Ok(Value::Answers(answers, element))
    }

    fn cast(&self, node: &NodeProto) -> Result<Value, String> {
        let to = integer(node, "to").and_then(|to| DataType::try_from(to as i32).ok());
        let to = match to {
            Some(DataType::Float) => Element::F32,
            Some(DataType::Double) => Element::F64,
            _ => return Err("it casts to something else than float or double".to_owned()),
        };
        Ok(match self.input(node, 0)? {
            Value::Inputs(mut steps, from) => {
                steps.extend(rounding(to).filter(|_| from != to));
                Value::Inputs(steps, to)
            }
            Value::Answers(mut answers, from) => {
                for answer in &mut answers {
                    answer.after.extend(rounding(to).filter(|_| from != to));
                }
                Value::Answers(answers, to)
            }
        })
    }

    /// A shape that leaves each row as it is.
    fn reshape(&self, node: &NodeProto) -> Result<Value, String> {
        let value = self.input(node, 0)?;
        let width = match &value {
            Value::Inputs(..) => self.width,
            Value::Answers(answers, _) => answers.len(),
        };
        let shape = self.constants.numbers(node.input.get(1).map_or("", String::as_str))?.values;
        if keeps_rows(node, &shape, width, self.rows) {
            return Ok(value);
        }
        Err(format!("it reshapes {width} numbers of a row to {shape:?}"))
    }

    fn concat(&self, node: &NodeProto) -> Result<Value, String> {
        if !matches!(integer(node, "axis"), Some(1 | -1)) {
            return Err("it does not join the numbers of a row".to_owned());
        }
        let mut joined = Vec::new();
        let mut elements = Vec::new();
        for index in 0..node.input.len() {
            let Value::Answers(answers, element) = self.input(node, index)? else {
                return Err("it takes something else than what trees answer".to_owned());
            };
            joined.extend(answers);
            elements.push(element);
        }
        match elements[..] {
            [first, ref others @ ..] if others.iter().all(|other| *other == first) => {
                Ok(Value::Answers(joined, first))
            }
            _ => Err("it joins numbers of several element types".to_owned()),
        }
    }

    /// An operation with a constant.
    fn arithmetic(&self, node: &NodeProto) -> Result<Value, String> {
        if node.attribute.iter().any(|attribute| matches!(&*attribute.name, "axis" | "broadcast")) {
            return Err("it broadcasts as the first opsets did".to_owned());
        }
        let op = node.op_type.as_str();
        let names = [0, 1].map(|index| node.input.get(index).map_or("", String::as_str));
        let (value, constant) = match names.map(|name| self.values.contains_key(name)) {
            [true, false] => (0, 1),
            [false, true] if matches!(op, "Add" | "Mul") => (1, 0),
            _ => return Err("it is not applied to a value and then a constant".to_owned()),
        };
        let constant = names[constant];
        let step = |width: usize, element: Element| {
            let numbers = self.constants.row(constant, width, element)?;
            Ok::<_, String>(match op {
                "Add" => Step::Add(numbers),
                "Sub" => Step::Sub(numbers),
                "Mul" => Step::Mul(numbers),
                _ => Step::Div(numbers),
            })
        };
        Ok(match self.input(node, value)? {
            Value::Inputs(mut steps, element) => {
                steps.push(step(self.width, element)?);
                steps.extend(rounding(element));
                Value::Inputs(steps, element)
            }
            Value::Answers(mut answers, element) => {
                let step = step(answers.len(), element)?;
                for (column, answer) in answers.iter_mut().enumerate() {
                    answer.after.push(step.of_column(column));
                    answer.after.extend(rounding(element));
                }
                Value::Answers(answers, element)
            }
        })
    }
}

/// What ends every operation on numbers of this type.
fn rounding(element: Element) -> Option<Step> {
    (element == Element::F32).then_some(Step::Round)
}

fn refusal(node: &NodeProto, why: &str) -> Error {
    let separator = if why.is_empty() { "" } else { ": " };
    Error::unsupported(format!("trees cannot lower node {}{separator}{why}", described(node)))
}
