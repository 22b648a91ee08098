//! A network in the form that the kernel reads.

use crate::{
    Activation, Dense, Step,
    math::{LANES, Line},
};

/// The lines of outputs that the kernel sums up at once: more would not fit its registers.
pub(crate) const BLOCK_LINES: usize = 3;

/// As many outputs and inputs have their weights in one line of a narrow layer.
pub(crate) const NARROW: usize = 4;

const _: () = assert!(NARROW * NARROW == LANES);

/// Smaller weights (2^-100) count as zero. Training with weight decay leaves many that are
/// subnormal numbers or make such numbers, which cost a CPU a hundred times as much to multiply.
const NEGLIGIBLE: f64 = 7.888_609_052_210_118e-31;

/// Operations in order, and how much room their values need.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Of the widest set of values in between, in lines.
    pub(crate) lines: usize,
    pub(crate) ops: Vec<Op>,
}

#[derive(Debug)]
pub(crate) enum Op {
    Add(Vec<Line>),
    Mul(Vec<Line>),
    Div(Vec<Line>),
    Dense(PackedDense),
    Narrow(PackedNarrow),
    /// Applied to this number of lines.
    Activate(Activation, usize),
}

/// A dense layer, its outputs in blocks.
#[derive(Debug)]
pub(crate) struct PackedDense {
    pub(crate) inputs: usize,
    pub(crate) blocks: Vec<Block>,
    /// What an output is raised to: 0 for a rectifier, else minus infinity.
    pub(crate) floor: f32,
}

/// The weights of up to [`BLOCK_LINES`] lines of outputs; lanes that are left over hold zeros.
#[derive(Debug)]
pub(crate) struct Block {
    /// For each input its weights for the block's outputs, as lines.
    pub(crate) weights: Vec<Line>,
    /// As many lines as the block has.
    pub(crate) bias: Vec<Line>,
}

/// A dense layer of at most [`NARROW`] outputs, in which a line holds the weights of several
/// inputs.
#[derive(Debug)]
pub(crate) struct PackedNarrow {
    pub(crate) inputs: usize,
    /// For each [`NARROW`] inputs a line, in which the weights of one input are adjacent.
    pub(crate) weights: Vec<Line>,
    pub(crate) bias: [f32; NARROW],
    /// As in [`PackedDense`].
    pub(crate) floor: f32,
}

pub(crate) fn pack(inputs: usize, outputs: usize, steps: &[Step]) -> Packed {
    let mut packed = Packed { inputs, outputs, lines: 0, ops: Vec::new() };
    let mut width = inputs;
    let mut reserve = |width: usize| packed.lines = packed.lines.max(width.div_ceil(LANES));
    reserve(width);
    let mut rest = steps;
    while let [step, after @ ..] = rest {
        rest = after;
        let op = match step {
            Step::Add(numbers) => Op::Add(Line::pack(numbers, 0.0)),
            Step::Mul(numbers) => Op::Mul(Line::pack(numbers, 0.0)),
            Step::Div(numbers) => Op::Div(Line::pack(numbers, 1.0)),
            Step::Activation(activation) => Op::Activate(*activation, width.div_ceil(LANES)),
            Step::Dense(dense) => {
                let mut layer = Layer::of(dense);
                while let [step, after @ ..] = rest
                    && layer.fold(step)
                {
                    rest = after;
                }
                let mut floor = f32::NEG_INFINITY;
                if let [Step::Activation(Activation::Relu), after @ ..] = rest {
                    rest = after;
                    floor = 0.0;
                }
                let inputs = std::mem::replace(&mut width, dense.bias.len());
                reserve(width);
                match width {
                    ..=NARROW => Op::Narrow(layer.pack_narrow(inputs, floor)),
                    _ => Op::Dense(layer.pack(inputs, floor)),
                }
            }
        };
        packed.ops.push(op);
    }
    packed
}

/// A dense layer into which what follows it is being multiplied.
struct Layer {
    weights: Vec<f64>,
    bias: Vec<f64>,
}

impl Layer {
    fn of(dense: &Dense) -> Self {
        let widen = |numbers: &[f32]| numbers.iter().map(|number| f64::from(*number)).collect();
        Self { weights: widen(&dense.weights), bias: widen(&dense.bias) }
    }

    /// Multiplies a step in; false, and nothing done, when it is of another kind or when single
    /// precision could not hold the result.
    fn fold(&mut self, step: &Step) -> bool {
        let (factors, shifts): (Vec<f64>, Vec<f64>) = match step {
            Step::Add(numbers) => numbers.iter().map(|number| (1.0, f64::from(*number))).unzip(),
            Step::Mul(numbers) => numbers.iter().map(|number| (f64::from(*number), 0.0)).unzip(),
            Step::Div(numbers) => {
                numbers.iter().map(|number| (1.0 / f64::from(*number), 0.0)).unzip()
            }
            Step::Dense(_) | Step::Activation(_) => return false,
        };
        let inputs = self.weights.len() / self.bias.len();
        let mut folded = Self { weights: Vec::with_capacity(self.weights.len()), bias: Vec::new() };
        let rows = self.weights.chunks(inputs).zip(&self.bias);
        for ((row, bias), (factor, shift)) in rows.zip(factors.into_iter().zip(shifts)) {
            folded.weights.extend(row.iter().map(|weight| weight * factor));
            folded.bias.push(bias * factor + shift);
        }
        // A weight that became 0 or infinite would treat large values differently.
        let kept = |(before, after): (&f64, &f64)| {
            before.abs() < NEGLIGIBLE || (after.abs() >= NEGLIGIBLE && (*after as f32).is_finite())
        };
        let fits = self.weights.iter().zip(&folded.weights).all(kept)
            && folded.bias.iter().all(|bias| (*bias as f32).is_finite());
        if fits {
            *self = folded;
        }
        fits
    }

    fn pack(&self, inputs: usize, floor: f32) -> PackedDense {
        let outputs = self.bias.len();
        let bias: Vec<f32> = self.bias.iter().copied().map(single).collect();
        let mut blocks = Vec::new();
        let mut start = 0;
        for lines in block_sizes(outputs.div_ceil(LANES)) {
            let end = outputs.min(start + lines * LANES);
            let mut weights = Vec::with_capacity(inputs * lines);
            for input in 0..inputs {
                let column: Vec<f32> = (start..end)
                    .map(|output| single(self.weights[output * inputs + input]))
                    .collect();
                weights.extend(Line::pack(&column, 0.0));
            }
            blocks.push(Block { weights, bias: Line::pack(&bias[start..end], 0.0) });
            start = end;
        }
        PackedDense { inputs, blocks, floor }
    }

    fn pack_narrow(&self, inputs: usize, floor: f32) -> PackedNarrow {
        let mut weights = vec![Line::ZERO; inputs.div_ceil(NARROW)];
        for (index, weight) in self.weights.iter().enumerate() {
            let (output, input) = (index / inputs, index % inputs);
            weights[input / NARROW].0[input % NARROW * NARROW + output] = single(*weight);
        }
        let mut bias = [0.0; NARROW];
        for (packed, bias) in bias.iter_mut().zip(&self.bias) {
            *packed = single(*bias);
        }
        PackedNarrow { inputs, weights, bias, floor }
    }
}

/// A weight as the kernel gets it; NaN stays NaN.
fn single(weight: f64) -> f32 {
    if weight.abs() < NEGLIGIBLE { 0.0 } else { weight as f32 }
}

/// Splits `lines` lines into blocks of nearly the same size.
fn block_sizes(lines: usize) -> impl Iterator<Item = usize> {
    let blocks = lines.div_ceil(BLOCK_LINES);
    (0..blocks).map(move |block| lines / blocks + usize::from(block < lines % blocks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_evenly() {
        for lines in 1..40 {
            let sizes: Vec<_> = block_sizes(lines).collect();
            assert_eq!(sizes.iter().sum::<usize>(), lines);
            assert!(sizes.iter().all(|size| (1..=BLOCK_LINES).contains(size)), "{sizes:?}");
        }
        assert_eq!(block_sizes(4).collect::<Vec<_>>(), [2, 2]);
    }

    fn kinds(steps: Vec<Step>) -> Vec<&'static str> {
        let packed = pack(1, WIDE, &steps);
        let kind = |op: &Op| match op {
            Op::Add(_) => "add",
            Op::Mul(_) => "mul",
            Op::Div(_) => "div",
            Op::Dense(dense) if dense.floor == 0.0 => "dense relu",
            Op::Dense(_) => "dense",
            Op::Narrow(_) => "narrow",
            Op::Activate(..) => "activate",
        };
        packed.ops.iter().map(kind).collect()
    }

    const WIDE: usize = NARROW + 1;

    fn dense(inputs: usize, outputs: usize, weight: f32) -> Step {
        Step::Dense(Dense { weights: vec![weight; inputs * outputs], bias: vec![1.0; outputs] })
    }

    #[test]
    fn what_follows_a_layer_is_folded_into_it_and_what_precedes_it_is_not() {
        let relu = Step::Activation(Activation::Relu);
        let scaled = |first: f32| {
            vec![
                Step::Add(vec![2.0]),
                Step::Div(vec![3.0]),
                dense(1, WIDE, first),
                Step::Mul(vec![1e-30; WIDE]),
                Step::Add(vec![5.0; WIDE]),
                relu.clone(),
                Step::Add(vec![1.0; WIDE]),
                dense(WIDE, 2, 1.0),
            ]
        };
        assert_eq!(kinds(scaled(4.0)), ["add", "div", "dense relu", "add", "narrow"]);
        // 1e-15 * 1e-30 would be gone.
        assert_eq!(
            kinds(scaled(1e-15)),
            ["add", "div", "dense", "mul", "add", "activate", "add", "narrow"]
        );
    }
}
