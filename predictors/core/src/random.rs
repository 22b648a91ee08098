/// A small generator of random numbers (SplitMix64): the same numbers on every platform.
///
/// It is for samples, tests and simulated noise, not for secrets.
///
/// ```
/// use hyperfake_predictor::Random;
///
/// let mut random = Random::new(7, 0);
/// let first = random.fraction();
/// assert!((0.0..1.0).contains(&first));
/// assert_eq!(Random::new(7, 0).fraction(), first);
/// assert_ne!(Random::new(7, 1).fraction(), first);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    /// Equal seeds and streams give equal numbers; different streams of a seed are independent.
    /// Stream 0 is the published generator, started with the seed.
    #[must_use]
    pub const fn new(seed: u64, stream: u64) -> Self {
        Self(seed ^ mix(stream))
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 up to but not including 1, with 53 random bits.
    pub const fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number below `limit`, which is not 0. The bias is at most `limit` / 2^64.
    pub const fn below(&mut self, limit: usize) -> usize {
        ((self.bits() as u128 * limit as u128) >> 64) as usize
    }

    /// One of the choices.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub const fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_0_is_the_published_generator() {
        let mut random = Random::new(1_234_567, 0);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn every_number_below_a_limit_is_drawn() {
        let mut random = Random::new(1, 2);
        let mut counts = [0; 6];
        for _ in 0..6000 {
            counts[random.below(6)] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
