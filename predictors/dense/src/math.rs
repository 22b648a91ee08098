//! Values by sixteen, and the functions that are applied to each.
//!
//! Written without vector instructions: inlined into a function that may use them, the loops
//! become vector code, and the bits are the same for every instruction set.

use crate::Activation;

/// How many values are in a line, on every instruction set.
pub(crate) const LANES: usize = 16;

/// Sixteen values in a cache line of their own.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; LANES]);

impl Line {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);

    /// The values as whole lines, with `padding` in the lanes that are left over.
    pub(crate) fn pack(values: &[f32], padding: f32) -> Vec<Self> {
        let line = |chunk: &[f32]| {
            let mut line = Self([padding; LANES]);
            line.0[..chunk.len()].copy_from_slice(chunk);
            line
        };
        values.chunks(LANES).map(line).collect()
    }
}

/// Applies an activation to every value. `mul_add` is `f32::mul_add` where the CPU has an
/// instruction for it.
#[inline(always)]
pub(crate) fn activate(
    activation: Activation,
    lines: &mut [Line],
    mul_add: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    // Loops and not iterators: a function of the standard library would not be compiled for the
    // instructions of the caller, and a copy of the line cannot overlap anything.
    #[inline(always)]
    fn all(lines: &mut [Line], function: impl Fn(f32) -> f32) {
        for line in lines {
            let mut values = line.0;
            for value in &mut values {
                *value = function(*value);
            }
            line.0 = values;
        }
    }
    // Comparisons are written such that NaN takes the branch that keeps it.
    match activation {
        Activation::Relu => all(lines, |x| if x < 0.0 { 0.0 } else { x }),
        Activation::LeakyRelu { slope } => all(lines, |x| if x > 0.0 { x } else { slope * x }),
        Activation::Elu { scale } => {
            all(lines, |x| if x > 0.0 { x } else { scale * (exp(x, mul_add) - 1.0) });
        }
        Activation::Tanh => all(lines, |x| tanh(x, mul_add)),
        Activation::Sigmoid => all(lines, |x| 1.0 / (1.0 + exp(-x, mul_add))),
        Activation::Exp => all(lines, |x| exp(x, mul_add)),
        Activation::Softplus { linear_above } => {
            all(lines, |x| if x > linear_above { x } else { softplus(x, mul_add) });
        }
        Activation::Clip { low, high } => all(lines, |x| {
            let x = if x < low { low } else { x };
            if x > high { high } else { x }
        }),
    }
}

/// `e^x` to about one part in 10 million; 0 below -87 and infinite above 88, a little early.
#[inline(always)]
fn exp(x: f32, mul_add: impl Fn(f32, f32, f32) -> f32 + Copy) -> f32 {
    // Adding it to a small number leaves the nearest integer in the lowest bits.
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23
    // ln 2 in two parts; the first has so few bits that a product with an integer is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = mul_add(x, std::f32::consts::LOG2_E, MAGIC);
    let whole = shifted - MAGIC;
    let rest = mul_add(whole, -LN_2_LOW, mul_add(whole, -LN_2_HIGH, x));
    // The Taylor series: |rest| is at most ln(2) / 2, where the next term is below 1e-8.
    let series = series(
        rest,
        [1.0, 1.0, 0.5, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0],
        mul_add,
    );
    // The integer becomes the exponent.
    let power = f32::from_bits(
        shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127).wrapping_shl(23),
    );
    let value = series * power;
    let value = if x < -87.0 { 0.0 } else { value };
    if x > 88.0 { f32::INFINITY } else { value }
}

/// `ln(1 + e^x)`.
#[inline(always)]
fn softplus(x: f32, mul_add: impl Fn(f32, f32, f32) -> f32 + Copy) -> f32 {
    // ln(1 + y) for y from 0 to 1, as 2 artanh(y / (2 + y)): the argument is at most 1/3.
    let y = exp(-x.abs(), mul_add);
    let s = y / (2.0 + y);
    let series = series(
        s * s,
        [1.0, 1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0],
        mul_add,
    );
    let positive = if x < 0.0 { 0.0 } else { x };
    mul_add(2.0 * s, series, positive)
}

/// `c[0] + c[1] x + c[2] x^2 + ...`, in pairs: the shortest chain of operations that wait for
/// each other.
#[inline(always)]
fn series(x: f32, c: [f32; 8], mul_add: impl Fn(f32, f32, f32) -> f32 + Copy) -> f32 {
    let square = x * x;
    let low = mul_add(mul_add(c[3], x, c[2]), square, mul_add(c[1], x, c[0]));
    let high = mul_add(mul_add(c[7], x, c[6]), square, mul_add(c[5], x, c[4]));
    mul_add(high, square * square, low)
}

#[inline(always)]
fn tanh(x: f32, mul_add: impl Fn(f32, f32, f32) -> f32 + Copy) -> f32 {
    // Near 0, where 1 - e^(-2x) would lose its digits, Lambert's continued fraction.
    let z = x * x;
    let above = mul_add(z, 105.0 + z, 945.0);
    let below = mul_add(z, mul_add(z, 15.0, 420.0), 945.0);
    let near = x * above / below;
    let e = exp(-2.0 * x.abs(), mul_add);
    let far = ((1.0 - e) / (1.0 + e)).copysign(x);
    // The comparison lets NaN through: both are NaN then.
    if z < 0.4 { near } else { far }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    /// From -100 to 100, densest around 0.
    fn samples() -> impl Iterator<Item = f32> {
        let positive = (0..4000).map(|step| 1e-6 * (1.0047_f32).powi(step)).filter(|x| *x < 100.0);
        positive.flat_map(|x| [x, -x]).chain([0.0, -0.0])
    }

    fn compare(
        name: &str,
        range: Range<f32>,
        found: impl Fn(f32) -> f32,
        exact: impl Fn(f64) -> f64,
    ) {
        for x in samples().filter(|x| range.contains(x)) {
            let (found, exact) = (f64::from(found(x)), exact(f64::from(x)));
            let error = ((found - exact) / exact.abs().max(1e-38)).abs();
            assert!(error < 4e-7, "{name}({x}) is off by {error:e}: {found}");
        }
    }

    #[test]
    fn functions_match_double_precision() {
        fn twice(left: f32, right: f32, sum: f32) -> f32 {
            left * right + sum
        }
        for mul_add in [twice, f32::mul_add] {
            compare("exp", -87.0..88.0, |x| exp(x, mul_add), f64::exp);
            compare("tanh", -200.0..200.0, |x| tanh(x, mul_add), f64::tanh);
            compare(
                "softplus",
                -80.0..200.0,
                |x| softplus(x, mul_add),
                |x| x.max(0.0) + (-x.abs()).exp().ln_1p(),
            );
        }
    }

    #[test]
    fn functions_reach_their_limits_for_large_inputs() {
        let at = |activation, x: f32| {
            let mut lines = [Line([x; LANES])];
            activate(activation, &mut lines, |left, right, sum| left * right + sum);
            lines[0].0[0]
        };
        let softplus = Activation::Softplus { linear_above: f32::INFINITY };
        for (activation, below, above) in [
            (Activation::Relu, 0.0, 1e30),
            (Activation::LeakyRelu { slope: 0.5 }, -0.5e30, 1e30),
            (Activation::Elu { scale: 2.0 }, -2.0, 1e30),
            (Activation::Tanh, -1.0, 1.0),
            (Activation::Sigmoid, 0.0, 1.0),
            (Activation::Exp, 0.0, f32::INFINITY),
            (softplus, 0.0, 1e30),
            (Activation::Clip { low: -3.0, high: 4.0 }, -3.0, 4.0),
        ] {
            assert_eq!((at(activation, -1e30), at(activation, 1e30)), (below, above));
            assert!(at(activation, f32::NAN).is_nan(), "{activation:?}");
        }
        assert_eq!(at(Activation::Softplus { linear_above: 0.5 }, 0.75), 0.75);
    }
}
