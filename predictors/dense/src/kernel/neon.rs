//! NEON, which every 64-bit ARM CPU in a server has.

use std::arch::aarch64::*;

use super::{NARROW, Packed, Simd, network};
use crate::math::Line;

/// Four registers of four.
#[derive(Clone, Copy)]
struct Neon;

#[target_feature(enable = "neon")]
pub(super) fn run<const R: usize>(
    packed: &Packed,
    inputs: &[f32],
    outputs: &mut [f32],
    from: &mut [Line],
    to: &mut [Line],
) {
    network::<_, R, 1>(Neon, packed, inputs, outputs, from, to);
}

// SAFETY: only made in `run`, which asks for NEON.
unsafe impl Simd for Neon {
    type Vector = [float32x4_t; 4];

    #[inline(always)]
    fn load(self, line: &Line) -> Self::Vector {
        let start = line.0.as_ptr();
        // SAFETY: a line is sixteen floats; the CPU has NEON.
        std::array::from_fn(|part| unsafe { vld1q_f32(start.add(4 * part)) })
    }

    #[inline(always)]
    fn store(self, vector: Self::Vector, line: &mut Line) {
        let start = line.0.as_mut_ptr();
        for (part, values) in vector.into_iter().enumerate() {
            // SAFETY: as `load`.
            unsafe { vst1q_f32(start.add(4 * part), values) }
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        // SAFETY: the CPU has NEON.
        unsafe { [vdupq_n_f32(value); 4] }
    }

    #[inline(always)]
    fn add(self, left: Self::Vector, right: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has NEON.
        std::array::from_fn(|part| unsafe { vaddq_f32(left[part], right[part]) })
    }

    #[inline(always)]
    fn mul(self, left: Self::Vector, right: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has NEON.
        std::array::from_fn(|part| unsafe { vmulq_f32(left[part], right[part]) })
    }

    #[inline(always)]
    fn div(self, left: Self::Vector, right: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has NEON.
        std::array::from_fn(|part| unsafe { vdivq_f32(left[part], right[part]) })
    }

    #[inline(always)]
    fn spread(self, values: &[f32; NARROW]) -> Self::Vector {
        // SAFETY: the CPU has NEON.
        values.map(|value| unsafe { vdupq_n_f32(value) })
    }

    #[inline(always)]
    fn mul_add_one(left: f32, right: f32, sum: f32) -> f32 {
        left.mul_add(right, sum)
    }

    #[inline(always)]
    fn mul_add(self, left: Self::Vector, right: Self::Vector, sum: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has NEON.
        std::array::from_fn(|part| unsafe { vfmaq_f32(sum[part], left[part], right[part]) })
    }

    #[inline(always)]
    fn max(self, floor: Self::Vector, value: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has NEON. Of a number and NaN the instruction gives NaN.
        std::array::from_fn(|part| unsafe { vmaxq_f32(floor[part], value[part]) })
    }
}
