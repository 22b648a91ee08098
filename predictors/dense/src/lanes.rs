//! Values by sixteen, and the functions that are applied to each.
//!
//! Written without vector instructions: inlined into a function that may use them, the loops
//! become vector code, and the bits are the same for every instruction set.

use crate::Activation;

/// How many values are in a line, whatever the instruction set.
pub(crate) const LANES: usize = 16;

/// Sixteen values in a cache line of their own.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; LANES]);

impl Line {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);

    /// So many values as whole lines, with `padding` in the lanes that are left over.
    pub(crate) fn pack(values: &[f32], padding: f32) -> Vec<Self> {
        let line = |chunk: &[f32]| {
            let mut line = Self([padding; LANES]);
            line.0[..chunk.len()].copy_from_slice(chunk);
            line
        };
        values.chunks(LANES).map(line).collect()
    }
}

/// Applies an activation to every value.
#[inline(always)]
pub(crate) fn activate(activation: Activation, lines: &mut [Line]) {
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
            all(lines, |x| if x > 0.0 { x } else { scale * (exp(x) - 1.0) });
        }
        Activation::Tanh => all(lines, tanh),
        Activation::Sigmoid => all(lines, |x| 1.0 / (1.0 + exp(-x))),
        Activation::Softplus { linear_above } => {
            all(lines, |x| if x > linear_above { x } else { softplus(x) });
        }
        Activation::Clip { low, high } => all(lines, |x| {
            let x = if x < low { low } else { x };
            if x > high { high } else { x }
        }),
    }
}

/// `e^x` to about one part in 10 million; 0 below -87 and infinite above 88, a little early.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding it to a small number leaves the nearest integer in the lowest bits.
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23
    // ln 2 in two parts; the first has so few bits that a product with an integer is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let whole = shifted - MAGIC;
    let rest = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    // The Taylor series: |rest| is at most ln(2) / 2, where the eighth term is below 1e-8.
    let mut series = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = series * rest + coefficient;
    }
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
fn softplus(x: f32) -> f32 {
    // ln(1 + y) for y from 0 to 1, as 2 artanh(y / (2 + y)): the argument is at most 1/3.
    let y = exp(-x.abs());
    let s = y / (2.0 + y);
    let square = s * s;
    let mut series = 1.0 / 15.0;
    for coefficient in
        [1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0]
    {
        series = series * square + coefficient;
    }
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + 2.0 * s * series
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    // Near 0, where 1 - e^(-2x) would lose its digits, Lambert's continued fraction.
    let z = x * x;
    let near = x * (945.0 + z * (105.0 + z)) / (945.0 + z * (420.0 + z * 15.0));
    let e = exp(-2.0 * x.abs());
    let far = ((1.0 - e) / (1.0 + e)).copysign(x);
    // The comparison lets NaN through: both are NaN then.
    if z < 0.4 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From -100 to 100, densest around 0.
    fn samples() -> impl Iterator<Item = f32> {
        let positive = (0..4000).map(|step| 1e-6 * (1.0047_f32).powi(step)).filter(|x| *x < 100.0);
        positive.flat_map(|x| [x, -x]).chain([0.0, -0.0])
    }

    fn compare(name: &str, found: fn(f32) -> f32, exact: fn(f64) -> f64, relative: f64) {
        let mut worst = (0.0, 0.0);
        for x in samples() {
            let exact = exact(f64::from(x));
            let error = (f64::from(found(x)) - exact).abs() / exact.abs().max(1e-30);
            if error > worst.0 {
                worst = (error, x);
            }
        }
        assert!(worst.0 < relative, "{name} is off by {:e} at {}", worst.0, worst.1);
    }

    #[test]
    fn functions_are_those_of_the_mathematics() {
        let bounded = |x: f32| if (-87.0..88.0).contains(&x) { exp(x) } else { x.exp() };
        let exact: fn(f64) -> f64 = |x| if (-87.0..88.0).contains(&x) { x.exp() } else { 0.0 };
        compare("exp", |x| if (-87.0..88.0).contains(&x) { exp(x) } else { 0.0 }, exact, 3e-7);
        let _ = bounded;
        compare("tanh", tanh, f64::tanh, 3e-7);
        let softplus_above = |x: f32| if x > -80.0 { softplus(x) } else { 0.0 };
        compare(
            "softplus",
            softplus_above,
            |x| if x > -80.0 { x.exp().ln_1p().min(x.max(0.0) + 1.0) } else { 0.0 },
            4e-7,
        );
    }

    #[test]
    fn far_out_every_function_has_its_limit() {
        let at = |activation, x: f32| {
            let mut lines = [Line([x; LANES])];
            activate(activation, &mut lines);
            lines[0].0[0]
        };
        let softplus = Activation::Softplus { linear_above: f32::INFINITY };
        for (activation, below, above) in [
            (Activation::Relu, 0.0, 1e30),
            (Activation::LeakyRelu { slope: 0.5 }, -0.5e30, 1e30),
            (Activation::Elu { scale: 2.0 }, -2.0, 1e30),
            (Activation::Tanh, -1.0, 1.0),
            (Activation::Sigmoid, 0.0, 1.0),
            (softplus, 0.0, 1e30),
            (Activation::Clip { low: -3.0, high: 4.0 }, -3.0, 4.0),
        ] {
            assert_eq!((at(activation, -1e30), at(activation, 1e30)), (below, above));
            assert!(at(activation, f32::NAN).is_nan(), "{activation:?}");
        }
        assert_eq!(at(Activation::Softplus { linear_above: 0.5 }, 0.75), 0.75);
    }
}
