//! AVX2 with FMA, and AVX-512.

use std::arch::x86_64::*;

use super::{NARROW, Packed, Simd, network};
use crate::math::Line;

/// Two registers of eight.
#[derive(Clone, Copy)]
struct Avx2;

/// One register of sixteen.
#[derive(Clone, Copy)]
struct Avx512;

#[target_feature(enable = "avx2,fma")]
pub(super) fn run_avx2<const R: usize>(
    packed: &Packed,
    inputs: &[f32],
    outputs: &mut [f32],
    from: &mut [Line],
    to: &mut [Line],
) {
    network::<_, R, 1>(Avx2, packed, inputs, outputs, from, to);
}

#[target_feature(enable = "avx512f")]
pub(super) fn run_avx512<const R: usize>(
    packed: &Packed,
    inputs: &[f32],
    outputs: &mut [f32],
    from: &mut [Line],
    to: &mut [Line],
) {
    network::<_, R, 4>(Avx512, packed, inputs, outputs, from, to);
}

// SAFETY: only made in `run_avx2`, which asks for AVX2 and FMA.
unsafe impl Simd for Avx2 {
    type Vector = [__m256; 2];

    #[inline(always)]
    fn load(self, line: &Line) -> Self::Vector {
        let start = line.0.as_ptr();
        // SAFETY: a line is sixteen floats, aligned to 64 bytes; the CPU has AVX2.
        unsafe { [_mm256_load_ps(start), _mm256_load_ps(start.add(8))] }
    }

    #[inline(always)]
    fn store(self, [low, high]: Self::Vector, line: &mut Line) {
        let start = line.0.as_mut_ptr();
        // SAFETY: as `load`.
        unsafe {
            _mm256_store_ps(start, low);
            _mm256_store_ps(start.add(8), high);
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        // SAFETY: the CPU has AVX2.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn add(self, left: Self::Vector, right: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX2.
        unsafe { [_mm256_add_ps(left[0], right[0]), _mm256_add_ps(left[1], right[1])] }
    }

    #[inline(always)]
    fn mul(self, left: Self::Vector, right: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX2.
        unsafe { [_mm256_mul_ps(left[0], right[0]), _mm256_mul_ps(left[1], right[1])] }
    }

    #[inline(always)]
    fn div(self, left: Self::Vector, right: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX2.
        unsafe { [_mm256_div_ps(left[0], right[0]), _mm256_div_ps(left[1], right[1])] }
    }

    #[inline(always)]
    fn spread(self, values: &[f32; NARROW]) -> Self::Vector {
        // SAFETY: there are four floats to load; the CPU has AVX2.
        unsafe {
            let values = _mm256_castps128_ps256(_mm_loadu_ps(values.as_ptr()));
            [
                _mm256_permutevar8x32_ps(values, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1)),
                _mm256_permutevar8x32_ps(values, _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3)),
            ]
        }
    }

    #[inline(always)]
    fn mul_add_one(left: f32, right: f32, sum: f32) -> f32 {
        left.mul_add(right, sum)
    }

    #[inline(always)]
    fn mul_add(self, left: Self::Vector, right: Self::Vector, sum: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has FMA.
        unsafe {
            [_mm256_fmadd_ps(left[0], right[0], sum[0]), _mm256_fmadd_ps(left[1], right[1], sum[1])]
        }
    }

    #[inline(always)]
    fn max(self, floor: Self::Vector, value: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX2. Of a number and NaN the instruction gives the second.
        unsafe { [_mm256_max_ps(floor[0], value[0]), _mm256_max_ps(floor[1], value[1])] }
    }
}

// SAFETY: only made in `run_avx512`, which asks for AVX-512F.
unsafe impl Simd for Avx512 {
    type Vector = __m512;

    #[inline(always)]
    fn load(self, line: &Line) -> Self::Vector {
        // SAFETY: a line is sixteen floats, aligned to 64 bytes; the CPU has AVX-512F.
        unsafe { _mm512_load_ps(line.0.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: Self::Vector, line: &mut Line) {
        // SAFETY: as `load`.
        unsafe { _mm512_store_ps(line.0.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn add(self, left: Self::Vector, right: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_add_ps(left, right) }
    }

    #[inline(always)]
    fn mul(self, left: Self::Vector, right: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_mul_ps(left, right) }
    }

    #[inline(always)]
    fn div(self, left: Self::Vector, right: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_div_ps(left, right) }
    }

    #[inline(always)]
    fn spread(self, values: &[f32; NARROW]) -> Self::Vector {
        // SAFETY: there are four floats to load; the CPU has AVX-512F.
        unsafe {
            let values = _mm512_castps128_ps512(_mm_loadu_ps(values.as_ptr()));
            let lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
            _mm512_permutexvar_ps(lanes, values)
        }
    }

    #[inline(always)]
    fn mul_add_one(left: f32, right: f32, sum: f32) -> f32 {
        left.mul_add(right, sum)
    }

    #[inline(always)]
    fn mul_add(self, left: Self::Vector, right: Self::Vector, sum: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_fmadd_ps(left, right, sum) }
    }

    #[inline(always)]
    fn max(self, floor: Self::Vector, value: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX-512F. Of a number and NaN the instruction gives the second.
        unsafe { _mm512_max_ps(floor, value) }
    }
}
