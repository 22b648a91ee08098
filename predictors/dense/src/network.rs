use std::sync::Arc;

use hyperfake_predictor::{Error, Result};

use crate::{
    Isa, Reference, Runner,
    pack::{self, Packed},
    reference,
};

/// A feed-forward network: checked, packed for the kernel, shared by all threads.
#[derive(Debug, Clone)]
pub struct Network(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    inputs: usize,
    steps: Vec<Step>,
    packed: Arc<Packed>,
}

/// What a network does to its values, one step after the other.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Adds a number to each value.
    Add(Vec<f32>),
    /// Multiplies each value by a number.
    Mul(Vec<f32>),
    /// Divides each value by a number.
    Div(Vec<f32>),
    /// Replaces the values by weighted sums of them.
    Dense(Dense),
    /// Applies a function to each value.
    Activation(Activation),
}

/// A dense layer: `weights * values + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Shape `[outputs, inputs]`, row by row.
    pub weights: Vec<f32>,
    /// Shape `[outputs]`.
    pub bias: Vec<f32>,
}

/// A function of one value. NaN stays NaN in each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `max(0, x)`
    Relu,
    /// `x` where that is positive, else `slope * x`.
    LeakyRelu {
        /// Of the negative part.
        slope: f32,
    },
    /// `x` where that is positive, else `scale * (exp(x) - 1)`.
    Elu {
        /// Of the negative part.
        scale: f32,
    },
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `exp(x)`: 0 below -87, and infinite above 88.
    Exp,
    /// `ln(1 + exp(x))`, without overflow.
    Softplus {
        /// Above this `x` itself is taken; infinity for nowhere.
        linear_above: f32,
    },
    /// `min(high, max(low, x))`
    Clip {
        /// The least value.
        low: f32,
        /// The greatest value.
        high: f32,
    },
}

impl Network {
    /// A network that takes `inputs` numbers.
    ///
    /// # Errors
    ///
    /// `Invalid` when there is no input, when a layer has no output, or when a step has another number of
    /// numbers than there are values at that point; the error names the step, counted from 0.
    pub fn new(inputs: usize, steps: Vec<Step>) -> Result<Self> {
        if inputs == 0 {
            return Err(Error::invalid("a network needs an input"));
        }
        let mut width = inputs;
        for (index, step) in steps.iter().enumerate() {
            width = step.width_after(width).map_err(|error| error.at(format!("step {index}")))?;
        }
        let packed = Arc::new(pack::pack(inputs, width, &steps));
        Ok(Self(Arc::new(Parts { inputs, steps, packed })))
    }

    /// How many numbers go in.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.0.inputs
    }

    /// How many numbers come out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.0.packed.outputs
    }

    /// What the network does.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0.steps
    }

    /// The multiplications in the dense layers: what one answer costs at the least.
    #[must_use]
    pub fn multiplications(&self) -> usize {
        let layers = self.0.steps.iter().map(|step| match step {
            Step::Dense(dense) => dense.weights.len(),
            _ => 0,
        });
        layers.sum()
    }

    /// One thread's buffers for this network.
    #[must_use]
    pub fn runner(&self, isa: Isa) -> Runner {
        Runner::new(Arc::clone(&self.0.packed), isa)
    }

    /// What the network should answer, computed slowly in double precision, with an estimate of
    /// the rounding noise of single precision.
    ///
    /// # Panics
    ///
    /// When there is another number of inputs than the network takes.
    #[must_use]
    pub fn reference(&self, inputs: &[f32]) -> Reference {
        assert_eq!(inputs.len(), self.inputs(), "the network takes another number of inputs");
        reference::run(&self.0.steps, inputs)
    }
}

impl Step {
    fn width_after(&self, width: usize) -> Result<usize> {
        let (found, expected, after) = match self {
            Self::Add(numbers) | Self::Mul(numbers) | Self::Div(numbers) => {
                (numbers.len(), width, width)
            }
            Self::Dense(dense) => (dense.weights.len(), dense.bias.len() * width, dense.bias.len()),
            Self::Activation(_) => (width, width, width),
        };
        let message = match (found, after) {
            (_, 0) => "a layer needs an output".to_owned(),
            (found, _) if found == expected => return Ok(after),
            _ => format!("found {found} numbers, expected {expected} for {width} values"),
        };
        Err(Error::invalid(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_does_not_fit_is_refused_by_its_number() {
        let dense = |weights: usize, outputs: usize| {
            Step::Dense(Dense { weights: vec![1.0; weights], bias: vec![0.0; outputs] })
        };
        for (inputs, steps, expected) in [
            (2, vec![Step::Add(vec![1.0; 3])], "step 0: found 3 numbers, expected 2 for 2 values"),
            (2, vec![dense(6, 3), dense(6, 3)], "step 1: found 6 numbers, expected 9 for 3 values"),
            (2, vec![dense(0, 0)], "step 0: a layer needs an output"),
            (0, vec![], "a network needs an input"),
        ] {
            assert_eq!(Network::new(inputs, steps).unwrap_err().to_string(), expected);
        }
        let network = Network::new(2, vec![dense(6, 3), dense(12, 4)]).unwrap();
        let sizes = (network.inputs(), network.outputs(), network.multiplications());
        assert_eq!(sizes, (2, 4, 18));
    }
}
