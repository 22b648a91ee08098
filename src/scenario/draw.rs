use hyperfake_predictor::Uniforms;

/// Where every random number of a run comes from. A number is a hash of the seed, a worker, a
/// function, the number of a call or an instance, and what it is for: the same run draws the same
/// numbers, whatever its threads do, and two runs that differ in a policy have the same luck.
///
/// ```
/// use hyperfake_worker::scenario::{Purpose, Seed};
///
/// let draws = Seed::new(7).worker(0).function("echo");
/// assert_eq!(draws.bits(3, Purpose::Response), draws.bits(3, Purpose::Response));
/// assert_ne!(draws.bits(3, Purpose::Response), draws.bits(4, Purpose::Response));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u64);

/// The random numbers of one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Draws(u64);

/// What a random number is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The id of the instance with this number.
    InstanceId,
    /// The body of the answer to the call with this number.
    Response,
    /// The id of the function that is registered with this number, in two halves.
    FunctionId,
    /// See [`Purpose::FunctionId`].
    FunctionIdRest,
    /// The time that the instance with this number takes to start.
    ColdStart,
    /// Whether the start of the instance with this number fails.
    ColdStartFailure,
    /// The run time of the call with this number.
    RunTime,
    /// The CPU that the call with this number holds.
    Cpu,
    /// The memory that the call with this number holds.
    Ram,
    /// The factor on the run time of the call with this number.
    Noise,
    /// The speed of the instance with this number.
    InstanceSpeed,
    /// Whether the fault with this hash of its name fires.
    Fault(u64),
    /// The delay of the fault with this hash of its name.
    FaultDelay(u64),
}

impl Purpose {
    /// A different number for each purpose. Those of faults have 64 bits, so that none of them is near
    /// one of the others by intent.
    const fn number(self) -> u64 {
        match self {
            Self::InstanceId => 1,
            Self::Response => 2,
            Self::FunctionId => 3,
            Self::FunctionIdRest => 4,
            Self::ColdStart => 5,
            Self::ColdStartFailure => 6,
            Self::RunTime => 7,
            Self::Noise => 8,
            Self::InstanceSpeed => 9,
            Self::Cpu => 12,
            Self::Ram => 13,
            Self::Fault(name) => mix(name ^ 10),
            Self::FaultDelay(name) => mix(name ^ 11),
        }
    }
}

/// 2^64 divided by the golden ratio: its multiples are spread evenly.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Seed {
    /// A seed that a person chose.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed of one worker of a fleet.
    #[must_use]
    pub fn worker(self, index: usize) -> Self {
        Self(mix(self.0.wrapping_add((index as u64).wrapping_mul(GOLDEN))))
    }

    /// The random numbers of the function with this id.
    #[must_use]
    pub fn function(self, id: &str) -> Draws {
        Draws(mix(self.0 ^ hash(id)))
    }
}

impl Draws {
    /// 64 random bits.
    #[must_use]
    pub fn bits(self, number: u64, purpose: Purpose) -> u64 {
        let stream = mix(self.0.wrapping_add(purpose.number().wrapping_mul(GOLDEN)));
        mix(stream.wrapping_add(number.wrapping_mul(GOLDEN)))
    }

    /// A number from 0 up to, but without, 1: a multiple of 2^-53.
    #[must_use]
    pub fn unit(self, number: u64, purpose: Purpose) -> f64 {
        (self.bits(number, purpose) >> 11) as f64 * (0.5_f64).powi(53)
    }

    /// Where the call with this number lies in the distributions that a model knows.
    #[must_use]
    pub fn uniforms(self, number: u64) -> Uniforms {
        Uniforms {
            run_time: self.unit(number, Purpose::RunTime),
            cpu: self.unit(number, Purpose::Cpu),
            ram: self.unit(number, Purpose::Ram),
        }
    }
}

/// A number for a name.
pub(super) fn hash(name: &str) -> u64 {
    // FNV-1a, of which the finalizer spreads the bits.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(hash)
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014, with the constants of variant 13 of Stafford).
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The first outputs of SplitMix64 for the seed 1234567, as its authors' C code prints them:
    /// they are the finalizer of seed + n * GOLDEN.
    #[test]
    fn the_finalizer_is_that_of_splitmix64() {
        let outputs = (1..=3_u64).map(|n| mix(1_234_567_u64.wrapping_add(n.wrapping_mul(GOLDEN))));
        let expected =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert!(outputs.eq(expected));
    }

    #[test]
    fn whatever_differs_gives_other_numbers() {
        let (one, other) = (hash("flaky"), hash("slow"));
        let purposes = [
            Purpose::InstanceId,
            Purpose::Response,
            Purpose::FunctionId,
            Purpose::FunctionIdRest,
            Purpose::ColdStart,
            Purpose::ColdStartFailure,
            Purpose::RunTime,
            Purpose::Noise,
            Purpose::InstanceSpeed,
            Purpose::Fault(one),
            Purpose::FaultDelay(one),
            Purpose::Fault(other),
            Purpose::FaultDelay(other),
        ];
        let mut seen = HashSet::new();
        for seed in 0..4 {
            for worker in 0..4 {
                for function in ["", "a", "b", "ab", "ba"] {
                    let draws = Seed::new(seed).worker(worker).function(function);
                    for number in 0..10 {
                        for purpose in purposes {
                            assert!(seen.insert(draws.bits(number, purpose)));
                        }
                    }
                }
            }
        }
        assert_eq!(seen.len(), 4 * 4 * 5 * 10 * 13);
    }

    #[test]
    fn units_are_spread_evenly() {
        let draws = Seed::new(1).worker(0).function("echo");
        let mut counts = [0_u32; 10];
        for number in 0..100_000 {
            let unit = draws.unit(number, Purpose::Response);
            assert!((0.0..1.0).contains(&unit));
            counts[(10.0 * unit) as usize] += 1;
        }
        // Each is binomial with a standard deviation of 95.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 500), "{counts:?}");
    }
}
