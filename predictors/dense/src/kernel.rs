//! The part that computes, once for each instruction set.
//!
//! The algorithm is written once, against the few vector operations of [`Simd`], and inlined
//! into one function for each instruction set, which is compiled for it. The one module with
//! `unsafe` code: vector instructions may only run on a CPU that has them. Who holds an [`Isa`]
//! has proof that this one does, because only [`Isa::detect`] and [`Isa::all`] make them.

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::fmt;

use crate::{
    math::{self, LANES, Line},
    pack::{BLOCK_LINES, NARROW, Op, Packed, PackedDense, PackedNarrow},
};

/// The rows of a batch that go through the network side by side.
pub(crate) const ROWS: usize = 2;

/// A set of vector instructions that this CPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Kind);

/// Private, so that only what was detected can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Isa {
    /// Plain code without intrinsics; runs on every CPU.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// The fastest that this CPU has.
    #[must_use]
    pub fn detect() -> Self {
        Self::all().last().copied().unwrap_or(Self::PORTABLE)
    }

    /// All that this CPU has, the slowest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        #[allow(unused_mut, reason = "some architectures add nothing")]
        let mut all = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self(Kind::Avx2));
            }
            if is_x86_feature_detected!("avx512f") {
                all.push(Self(Kind::Avx512));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            all.push(Self(Kind::Neon));
        }
        all
    }

    /// Its name, as in `avx512`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "neon",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Runs `R` rows, 1 or [`ROWS`], through a network. `inputs` and `outputs` hold as many rows;
/// `from` and `to` are what [`Packed::lines`] asks for, for each row.
#[inline]
pub(crate) fn run<const R: usize>(
    isa: Isa,
    packed: &Packed,
    inputs: &[f32],
    outputs: &mut [f32],
    from: &mut [Line],
    to: &mut [Line],
) {
    match isa.0 {
        Kind::Portable => portable::run::<R>(packed, inputs, outputs, from, to),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this kind is only made on a CPU that has AVX2 and FMA.
        Kind::Avx2 => unsafe { x86::run_avx2::<R>(packed, inputs, outputs, from, to) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this kind is only made on a CPU that has AVX-512F.
        Kind::Avx512 => unsafe { x86::run_avx512::<R>(packed, inputs, outputs, from, to) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: this kind is only made on a CPU that has NEON.
        Kind::Neon => unsafe { neon::run::<R>(packed, inputs, outputs, from, to) },
    }
}

/// What the kernel needs of an instruction set: a few operations on a line.
///
/// # Safety
///
/// A value of an implementing type may only be made where the CPU has the instructions: its
/// methods use them and are safe to call.
unsafe trait Simd: Copy {
    /// Sixteen values in registers.
    type Vector: Copy;

    fn load(self, line: &Line) -> Self::Vector;
    fn store(self, vector: Self::Vector, line: &mut Line);
    fn splat(self, value: f32) -> Self::Vector;
    fn add(self, left: Self::Vector, right: Self::Vector) -> Self::Vector;
    fn mul(self, left: Self::Vector, right: Self::Vector) -> Self::Vector;
    fn div(self, left: Self::Vector, right: Self::Vector) -> Self::Vector;
    /// Each of four values in four lanes.
    fn spread(self, values: &[f32; NARROW]) -> Self::Vector;
    /// As `mul_add`, of one value.
    fn mul_add_one(left: f32, right: f32, sum: f32) -> f32;
    /// `left * right + sum`, rounded once or twice.
    fn mul_add(self, left: Self::Vector, right: Self::Vector, sum: Self::Vector) -> Self::Vector;
    /// The greater one; `value` where that is NaN.
    fn max(self, floor: Self::Vector, value: Self::Vector) -> Self::Vector;
}

/// The whole network. `SPLIT` is how many partial sums each output has: enough of them to keep
/// the multipliers busy while each waits for its last addition, and the same for one row and for
/// several, so that the bits of an answer do not depend on it.
#[inline(always)]
fn network<'a, S: Simd, const R: usize, const SPLIT: usize>(
    simd: S,
    packed: &Packed,
    inputs: &[f32],
    outputs: &mut [f32],
    mut from: &'a mut [Line],
    mut to: &'a mut [Line],
) {
    let stride = packed.lines;
    from = &mut from[..R * stride];
    to = &mut to[..R * stride];
    for (row, lines) in inputs.chunks_exact(packed.inputs).zip(from.chunks_exact_mut(stride)) {
        floats_mut(lines)[..row.len()].copy_from_slice(row);
    }
    for op in &packed.ops {
        match op {
            Op::Add(numbers) => zip(simd, from, stride, numbers, S::add),
            Op::Mul(numbers) => zip(simd, from, stride, numbers, S::mul),
            Op::Div(numbers) => zip(simd, from, stride, numbers, S::div),
            Op::Activate(activation, lines) => {
                for row in from.chunks_exact_mut(stride) {
                    math::activate(*activation, &mut row[..*lines], S::mul_add_one);
                }
            }
            Op::Dense(dense) => {
                layer::<S, R, SPLIT>(simd, dense, from, to, stride);
                std::mem::swap(&mut from, &mut to);
            }
            Op::Narrow(dense) => {
                for (from, to) in from.chunks_exact(stride).zip(to.chunks_exact_mut(stride)) {
                    narrow(simd, dense, &floats(from)[..dense.inputs], &mut to[0]);
                }
                std::mem::swap(&mut from, &mut to);
            }
        }
    }
    for (row, lines) in outputs.chunks_exact_mut(packed.outputs).zip(from.chunks_exact(stride)) {
        row.copy_from_slice(&floats(lines)[..row.len()]);
    }
}

#[inline(always)]
fn zip<S: Simd>(
    simd: S,
    values: &mut [Line],
    stride: usize,
    numbers: &[Line],
    function: impl Fn(S, S::Vector, S::Vector) -> S::Vector,
) {
    for row in values.chunks_exact_mut(stride) {
        for (line, numbers) in row.iter_mut().zip(numbers) {
            let result = function(simd, simd.load(line), simd.load(numbers));
            simd.store(result, line);
        }
    }
}

#[inline(always)]
fn layer<S: Simd, const R: usize, const SPLIT: usize>(
    simd: S,
    dense: &PackedDense,
    from: &[Line],
    to: &mut [Line],
    stride: usize,
) {
    let inputs: [&[f32]; R] =
        std::array::from_fn(|row| &floats(&from[row * stride..])[..dense.inputs]);
    let mut start = 0;
    for part in &dense.blocks {
        let (weights, bias, floor) = (&part.weights[..], &part.bias[..], dense.floor);
        let to = &mut to[start..];
        const { assert!(BLOCK_LINES == 3) };
        match bias.len() {
            1 => block::<S, R, SPLIT, 1>(simd, weights, inputs, bias, floor, to, stride),
            2 => block::<S, R, SPLIT, 2>(simd, weights, inputs, bias, floor, to, stride),
            _ => block::<S, R, SPLIT, 3>(simd, weights, inputs, bias, floor, to, stride),
        }
        start += bias.len();
    }
}

/// One block of a layer: `L` lines of outputs, kept in registers until they are complete.
#[inline(always)]
fn block<S: Simd, const R: usize, const SPLIT: usize, const L: usize>(
    simd: S,
    weights: &[Line],
    inputs: [&[f32]; R],
    bias: &[Line],
    floor: f32,
    to: &mut [Line],
    stride: usize,
) {
    let (weights, _) = weights.as_chunks::<L>();
    let (groups, rest) = weights.as_chunks::<SPLIT>();
    let (inputs, last_inputs): ([&[[f32; SPLIT]]; R], [&[f32]; R]) = {
        let split = inputs.map(|inputs| inputs[..weights.len()].as_chunks::<SPLIT>());
        (split.map(|(groups, _)| groups), split.map(|(_, rest)| rest))
    };
    let mut sums = [[[simd.splat(0.0); L]; R]; SPLIT];
    for (index, group) in groups.iter().enumerate() {
        for (split, weights) in group.iter().enumerate() {
            for row in 0..R {
                let value = simd.splat(inputs[row][index][split]);
                for line in 0..L {
                    let sum = &mut sums[split][row][line];
                    *sum = simd.mul_add(simd.load(&weights[line]), value, *sum);
                }
            }
        }
    }
    for (split, weights) in rest.iter().enumerate() {
        for row in 0..R {
            let value = simd.splat(last_inputs[row][split]);
            for line in 0..L {
                let sum = &mut sums[split][row][line];
                *sum = simd.mul_add(simd.load(&weights[line]), value, *sum);
            }
        }
    }
    let floor = simd.splat(floor);
    for row in 0..R {
        let to = &mut to[row * stride..][..L];
        for line in 0..L {
            let mut parts = [floor; SPLIT];
            for split in 0..SPLIT {
                parts[split] = sums[split][row][line];
            }
            let mut count = SPLIT;
            while count > 1 {
                count /= 2;
                for part in 0..count {
                    parts[part] = simd.add(parts[part], parts[part + count]);
                }
            }
            let sum = simd.add(parts[0], simd.load(&bias[line]));
            simd.store(simd.max(floor, sum), &mut to[line]);
        }
    }
}

/// A layer of few outputs: four inputs at once, each in the lanes of its four weights.
#[inline(always)]
fn narrow<S: Simd>(simd: S, dense: &PackedNarrow, inputs: &[f32], to: &mut Line) {
    let (groups, rest) = inputs.as_chunks::<NARROW>();
    let (pairs, last) = groups.as_chunks::<2>();
    let (weights, last_weights) = dense.weights.split_at(2 * pairs.len());
    let mut sums = [simd.splat(0.0); 2];
    for (inputs, weights) in pairs.iter().zip(weights.as_chunks::<2>().0) {
        for part in 0..2 {
            sums[part] =
                simd.mul_add(simd.load(&weights[part]), simd.spread(&inputs[part]), sums[part]);
        }
    }
    let mut last_weights = last_weights.iter();
    for (inputs, weights) in last.iter().zip(&mut last_weights) {
        sums[0] = simd.mul_add(simd.load(weights), simd.spread(inputs), sums[0]);
    }
    if let Some(weights) = last_weights.next() {
        // Zeros behind the last input: a weight of 0 would not undo an infinite value there.
        let mut inputs = [0.0; NARROW];
        inputs[..rest.len()].copy_from_slice(rest);
        sums[1] = simd.mul_add(simd.load(weights), simd.spread(&inputs), sums[1]);
    }
    let mut parts = Line::ZERO;
    simd.store(simd.add(sums[0], sums[1]), &mut parts);
    let mut line = Line::ZERO;
    for output in 0..NARROW {
        let part = |index: usize| parts.0[index * NARROW + output];
        let sum = (part(0) + part(1)) + (part(2) + part(3)) + dense.bias[output];
        line.0[output] = if dense.floor > sum { dense.floor } else { sum };
    }
    *to = line;
}

#[inline(always)]
fn floats(lines: &[Line]) -> &[f32] {
    // SAFETY: a line is `LANES` floats and nothing else (`repr(C)`, no padding), and the slice
    // is borrowed for as long.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LANES) }
}

#[inline(always)]
fn floats_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: as `floats`, and the slice is borrowed alone.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}

const _: () = assert!(size_of::<Line>() == LANES * size_of::<f32>());
