//! Plain code, for any CPU: the compiler makes the vectors that the target has at the least.

use super::{NARROW, Packed, Simd, network};
use crate::math::{LANES, Line};

#[derive(Clone, Copy)]
struct Portable;

pub(super) fn run<const R: usize>(
    packed: &Packed,
    inputs: &[f32],
    outputs: &mut [f32],
    from: &mut [Line],
    to: &mut [Line],
) {
    // Side by side, two rows would need more registers than there are for sure.
    for row in 0..R {
        let inputs = &inputs[row * packed.inputs..][..packed.inputs];
        let outputs = &mut outputs[row * packed.outputs..][..packed.outputs];
        network::<_, 1, 1>(Portable, packed, inputs, outputs, from, to);
    }
}

// SAFETY: no special instructions.
unsafe impl Simd for Portable {
    type Vector = [f32; LANES];

    #[inline(always)]
    fn load(self, line: &Line) -> Self::Vector {
        line.0
    }

    #[inline(always)]
    fn store(self, vector: Self::Vector, line: &mut Line) {
        line.0 = vector;
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        [value; LANES]
    }

    #[inline(always)]
    fn add(self, mut left: Self::Vector, right: Self::Vector) -> Self::Vector {
        for lane in 0..LANES {
            left[lane] += right[lane];
        }
        left
    }

    #[inline(always)]
    fn mul(self, mut left: Self::Vector, right: Self::Vector) -> Self::Vector {
        for lane in 0..LANES {
            left[lane] *= right[lane];
        }
        left
    }

    #[inline(always)]
    fn div(self, mut left: Self::Vector, right: Self::Vector) -> Self::Vector {
        for lane in 0..LANES {
            left[lane] /= right[lane];
        }
        left
    }

    #[inline(always)]
    fn spread(self, values: &[f32; NARROW]) -> Self::Vector {
        let mut spread = [0.0; LANES];
        for lane in 0..LANES {
            spread[lane] = values[lane / NARROW];
        }
        spread
    }

    #[inline(always)]
    fn mul_add_one(left: f32, right: f32, sum: f32) -> f32 {
        left * right + sum
    }

    // Not `f32::mul_add`, which without an instruction for it is a slow function.
    #[inline(always)]
    fn mul_add(
        self,
        left: Self::Vector,
        right: Self::Vector,
        mut sum: Self::Vector,
    ) -> Self::Vector {
        for lane in 0..LANES {
            sum[lane] += left[lane] * right[lane];
        }
        sum
    }

    #[inline(always)]
    fn max(self, floor: Self::Vector, mut value: Self::Vector) -> Self::Vector {
        for lane in 0..LANES {
            value[lane] = if floor[lane] > value[lane] { floor[lane] } else { value[lane] };
        }
        value
    }
}
