use std::{cell::Cell, f64::consts::TAU};

/// Numbers that look random, the same after each start (SplitMix64: a counter, mixed).
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    /// Different streams of one seed begin far from each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self(Cell::new(mix(seed) ^ mix(!stream)))
    }

    /// Standard normal, by Box and Muller's transform.
    pub(crate) fn normal(&self) -> f64 {
        // From 1 down: the logarithm of 0 is infinite.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }

    /// From 0 up to, but without, 1.
    fn unit(&self) -> f64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        (mix(self.0.get()) >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
