//! Linear models: `LinearRegressor`, several models of one number side by side, and what may be
//! computed in single precision although the file says double.

use hyperfake_predictor_dense::{Dense, Step};
use hyperfake_predictor_onnx::pb::NodeProto;

use super::{
    Chain, Element,
    constants::{attribute, integer},
};

/// How far single precision may be off, in units of a scaled input.
const PRECISION: f32 = 1e-4;

impl<'a> Chain<'a> {
    /// `coefficients * x + intercepts`, a row of coefficients for each target.
    pub(super) fn linear_regressor(&mut self, node: &NodeProto) -> Result<Vec<Step>, String> {
        let transform = attribute(node, "post_transform").map_or(&[][..], |text| &text.s);
        if !matches!(transform, b"" | b"NONE") {
            let transform = String::from_utf8_lossy(transform);
            return Err(format!("it transforms its answer: {transform}"));
        }
        let floats = |name: &str| attribute(node, name).map_or(&[][..], |floats| &floats.floats);
        let weights = floats("coefficients").to_vec();
        let found = integer(node, "targets").unwrap_or(1);
        let targets = usize::try_from(found)
            .ok()
            .filter(|targets| {
                *targets > 0 && targets.checked_mul(self.width) == Some(weights.len())
            })
            .ok_or_else(|| {
                format!(
                    "found {} coefficients for {found} targets of {} inputs",
                    weights.len(),
                    self.width
                )
            })?;
        let bias = match floats("intercepts") {
            [] => vec![0.0; targets],
            intercepts if intercepts.len() == targets => intercepts.to_vec(),
            intercepts => {
                return Err(format!("found {} intercepts for {targets} targets", intercepts.len()));
            }
        };
        self.width = targets;
        self.element = Element::F32;
        Ok(vec![Step::Dense(Dense { weights, bias })])
    }

    /// Layers that all take `value`, and whose numbers a `Concat` joins, as one layer. Nothing
    /// when the nodes that take `value` are something else.
    pub(super) fn side_by_side(
        &mut self,
        nodes: &[&'a NodeProto],
        value: &str,
    ) -> Option<(Vec<Step>, &'a str)> {
        let before = (self.width, self.element, self.double);
        let joined = self.joined(nodes, value, before);
        if joined.is_none() {
            (self.width, self.element, self.double) = before;
        }
        joined
    }

    fn joined(
        &mut self,
        nodes: &[&'a NodeProto],
        value: &str,
        before: (usize, Element, bool),
    ) -> Option<(Vec<Step>, &'a str)> {
        let mut joined: Vec<(&str, Dense)> = Vec::new();
        let mut end: Option<&'a NodeProto> = None;
        for node in nodes {
            (self.width, self.element, self.double) = before;
            let (mut steps, mut at) = self.node(node, value).ok()?;
            let concat = loop {
                let [next] = self.consumers.get(at)?[..] else { return None };
                if next.op_type == "Concat" {
                    break next;
                }
                let (more, after) = self.node(next, at).ok()?;
                steps.extend(more);
                at = after;
            };
            if end.is_some_and(|end| !std::ptr::eq(end, concat)) {
                return None;
            }
            end = Some(concat);
            joined.push((at, one_layer(steps)?));
        }
        let concat = end?;
        if !matches!(integer(concat, "axis"), Some(1 | -1)) || concat.input.len() != joined.len() {
            return None;
        }
        let mut all = Dense { weights: Vec::new(), bias: Vec::new() };
        for input in &concat.input {
            let (_, layer) = joined.iter().find(|(name, _)| name == input)?;
            all.weights.extend(&layer.weights);
            all.bias.extend(&layer.bias);
        }
        self.width = all.bias.len();
        Some((vec![Step::Dense(all)], concat.output.first()?))
    }
}

/// A dense layer and what is added to its numbers, as one layer.
fn one_layer(steps: Vec<Step>) -> Option<Dense> {
    let mut steps = steps.into_iter();
    let Some(Step::Dense(mut layer)) = steps.next() else { return None };
    for step in steps {
        let Step::Add(numbers) = step else { return None };
        layer.bias.iter_mut().zip(numbers).for_each(|(bias, number)| *bias += number);
    }
    Some(layer)
}

/// Whether a network that the file computes in double precision may be computed in single.
///
/// Where a large number is subtracted from an input, single precision leaves little of the
/// difference; that is only right when the difference is then divided by a number that is large
/// enough.
pub(super) fn single_precision_suffices(steps: &[Step]) -> Result<(), String> {
    for (index, step) in steps.iter().enumerate() {
        let shifts = match step {
            Step::Add(shifts) => shifts,
            Step::Dense(_) => return Ok(()),
            _ => continue,
        };
        let factor = |column: usize| match steps.get(index + 1) {
            Some(Step::Div(numbers)) => 1.0 / numbers[column],
            Some(Step::Mul(numbers)) => numbers[column],
            _ => 1.0,
        };
        for (column, shift) in shifts.iter().enumerate() {
            if (shift * f32::EPSILON / 2.0 * factor(column)).abs() > PRECISION {
                return Err(format!(
                    "column {column} needs double precision: {shift:e} is added to it, and it is \
                     multiplied by {:e}",
                    factor(column)
                ));
            }
        }
    }
    Ok(())
}
