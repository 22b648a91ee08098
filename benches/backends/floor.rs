//! The least that the network's multiplications cost: written by hand for this one network, with the
//! vector instructions that this CPU has and sizes that the compiler knows. There are no steps to look
//! up, no choice of activation, and each layer's weights lie in the order in which they are used.

use hyperfake_predictor_testkit::reference::Network;
use pulp::{Arch, Simd, WithSimd};

use crate::network::by_input;

/// A whole number of vectors of any width up to eight.
const HIDDEN: usize = 40;
type Row = [f32; HIDDEN];

/// The network in arrays: a row for each input, so that its outputs are neighbours. The last layer
/// has few outputs, and there each has a row.
pub(crate) struct Floor {
    arch: Arch,
    input_mean: [f32; 5],
    input_scale: [f32; 5],
    first: [Row; 5],
    first_bias: Row,
    second: [Row; HIDDEN],
    second_bias: Row,
    third: [Row; 3],
    third_bias: [f32; 3],
    output_scale: [f32; 3],
    output_mean: [f32; 3],
}

impl Floor {
    pub(crate) fn of(network: &Network) -> Self {
        let [first, second, third] = &network.layers[..] else { panic!("expected three layers") };
        Self {
            arch: Arch::new(),
            input_mean: network.input_mean,
            input_scale: network.input_scale,
            first: rows(&by_input(first)),
            first_bias: row(&first.biases),
            second: rows(&by_input(second)),
            second_bias: row(&second.biases),
            third: std::array::from_fn(|output| row(&third.weights[output * HIDDEN..][..HIDDEN])),
            third_bias: third.biases[..].try_into().unwrap(),
            output_scale: network.output_scale,
            output_mean: network.output_mean,
        }
    }

    #[inline(never)]
    pub(crate) fn run(&self, inputs: &[f32; 5]) -> [f32; 3] {
        self.arch.dispatch(Run { floor: self, inputs })
    }
}

fn row(numbers: &[f32]) -> Row {
    numbers.try_into().unwrap()
}

fn rows<const N: usize>(numbers: &[Vec<f32>]) -> [Row; N] {
    std::array::from_fn(|index| row(&numbers[index]))
}

struct Run<'a> {
    floor: &'a Floor,
    inputs: &'a [f32; 5],
}

impl WithSimd for Run<'_> {
    type Output = [f32; 3];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f32; 3] {
        let Self { floor, inputs } = self;
        let scaled = std::array::from_fn::<_, 5, _>(|input| {
            (inputs[input] - floor.input_mean[input]) / floor.input_scale[input]
        });
        let first = rectified(simd, &floor.first, &floor.first_bias, &scaled);
        let second = rectified(simd, &floor.second, &floor.second_bias, &first);
        std::array::from_fn(|output| {
            let mut sums = simd.splat_f32s(0.0);
            for (weights, values) in
                vectors::<S>(&floor.third[output]).iter().zip(vectors::<S>(&second))
            {
                sums = simd.mul_add_e_f32s(*weights, *values, sums);
            }
            let sum = simd.reduce_sum_f32s(sums) + floor.third_bias[output];
            let value = sum * floor.output_scale[output] + floor.output_mean[output];
            if value > 20.0 { value } else { value.exp().ln_1p() }
        })
    }
}

/// A layer and its rectifier.
#[inline(always)]
fn rectified<S: Simd, const INPUTS: usize>(
    simd: S,
    weights: &[Row; INPUTS],
    bias: &Row,
    inputs: &[f32; INPUTS],
) -> Row {
    let zero = simd.splat_f32s(0.0);
    // Of these as many are used as a row has vectors; the compiler keeps them in registers.
    let mut sums = [zero; HIDDEN];
    sums[..HIDDEN / S::F32_LANES].copy_from_slice(vectors::<S>(bias));
    for (input, weights) in inputs.iter().zip(weights) {
        let input = simd.splat_f32s(*input);
        for (sum, weights) in sums.iter_mut().zip(vectors::<S>(weights)) {
            *sum = simd.mul_add_e_f32s(*weights, input, *sum);
        }
    }
    let mut outputs = [0.0; HIDDEN];
    for (output, sum) in S::as_mut_simd_f32s(&mut outputs).0.iter_mut().zip(sums) {
        *output = simd.max_f32s(sum, zero);
    }
    outputs
}

#[inline(always)]
fn vectors<S: Simd>(row: &Row) -> &[S::f32s] {
    S::as_simd_f32s(row).0
}
