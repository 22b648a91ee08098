use std::time::Duration;

use crate::{Output, Prediction, RawPrediction};

/// The most CPU that one call can hold, in cores. A bound far above any machine, so that sums
/// over a million calls stay exact.
const MAX_CPU_CORES: f64 = 1e6;

/// The most memory that one call can hold, in bytes (16 TiB), for the same reason.
const MAX_RAM_BYTES: f64 = (1u64 << 44) as f64;

/// The one rule for what a model may answer.
///
/// Each of the three numbers is brought into its range, from 0 to a maximum: below the range
/// counts as 0, above it (infinity included) as the maximum, and NaN as 0. What was changed is
/// reported, so that the caller can count and log it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// No call runs longer than this.
    pub max_runtime: Duration,
}

impl Limits {
    /// Applies the rule.
    ///
    /// ```
    /// use std::time::Duration;
    /// use hyperfake_predictor::{Correction, Limits, RawPrediction};
    ///
    /// let limits = Limits { max_runtime: Duration::from_secs(60) };
    /// let raw = RawPrediction { runtime_ns: 1e15, cpu_cores: -0.5, ram_bytes: 8e6 };
    /// let checked = limits.check(raw);
    /// assert_eq!(checked.prediction.runtime, limits.max_runtime);
    /// assert_eq!(checked.prediction.cpu_cores, 0.0);
    /// assert_eq!(checked.corrections, [Some(Correction::TooLarge), Some(Correction::Negative), None]);
    /// ```
    #[must_use]
    pub fn check(&self, raw: RawPrediction) -> Checked {
        let seconds = self.max_runtime.as_secs() as f64;
        let max_runtime_ns = seconds * 1e9 + f64::from(self.max_runtime.subsec_nanos());
        let (runtime_ns, runtime_correction) = bound(raw.runtime_ns, max_runtime_ns);
        let (cpu_cores, cpu_correction) = bound(raw.cpu_cores, MAX_CPU_CORES);
        let (ram_bytes, ram_correction) = bound(raw.ram_bytes, MAX_RAM_BYTES);
        let runtime = match runtime_correction {
            Some(Correction::TooLarge) => self.max_runtime,
            _ => Duration::from_nanos(rounded(runtime_ns)).min(self.max_runtime),
        };
        Checked {
            prediction: Prediction { runtime, cpu_cores, ram_bytes: rounded(ram_bytes) },
            corrections: [runtime_correction, cpu_correction, ram_correction],
        }
    }
}

/// A prediction within the limits, and what had to be changed to get there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Checked {
    /// What the worker acts on.
    pub prediction: Prediction,
    /// What was wrong with each number, in the order of [`Output::ALL`].
    pub corrections: [Option<Correction>; 3],
}

impl Checked {
    /// The numbers that were changed, and why.
    pub fn corrections(&self) -> impl Iterator<Item = (Output, Correction)> {
        Output::ALL
            .into_iter()
            .zip(self.corrections)
            .filter_map(|(output, correction)| Some((output, correction?)))
    }
}

/// Why a predicted number was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display)]
pub enum Correction {
    /// NaN; counts as 0.
    #[strum(to_string = "not a number")]
    NotANumber,
    /// Below zero; counts as 0.
    #[strum(to_string = "negative")]
    Negative,
    /// Infinite or above the maximum; counts as the maximum.
    #[strum(to_string = "too large")]
    TooLarge,
}

fn bound(value: f64, max: f64) -> (f64, Option<Correction>) {
    if (0.0..=max).contains(&value) {
        // Also turns -0.0 into 0.0.
        (value.abs(), None)
    } else if value.is_nan() {
        (0.0, Some(Correction::NotANumber))
    } else if value < 0.0 {
        (0.0, Some(Correction::Negative))
    } else {
        (max, Some(Correction::TooLarge))
    }
}

/// The nearest whole number of one from 0 to below 2^63; of two, the larger. Signed numbers are converted in
/// one instruction on every CPU.
fn rounded(value: f64) -> u64 {
    let whole = value as i64;
    whole.unsigned_abs() + u64::from(value - whole as f64 >= 0.5)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { max_runtime: Duration::from_secs(3600) };

    #[test]
    fn each_number_is_clamped_independently() {
        let checked = LIMITS.check(RawPrediction::from_array([f64::NAN, f64::INFINITY, 5.4]));
        assert_eq!(checked.prediction.runtime, Duration::ZERO);
        assert_eq!(checked.prediction.cpu_cores, MAX_CPU_CORES);
        assert_eq!(checked.prediction.ram_bytes, 5);
        let corrections: Vec<_> = checked.corrections().collect();
        assert_eq!(
            corrections,
            [(Output::RuntimeNs, Correction::NotANumber), (Output::CpuCores, Correction::TooLarge)]
        );
    }

    #[test]
    fn halves_their_neighbours_and_large_numbers_are_rounded_exactly() {
        let large = (1_u64 << 52) + 1;
        for (value, expected) in [
            (0.5_f64.next_down(), 0),
            (0.5, 1),
            (1.5_f64.next_down(), 1),
            (2.5, 3),
            (large as f64, large),
        ] {
            assert_eq!(rounded(value), expected, "{value:e}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_rounded_as_the_standard_library_does(value in 0.0..9.2e18_f64) {
            prop_assert_eq!(rounded(value), value.round() as u64);
        }

        #[test]
        fn every_prediction_is_within_the_limits(
            runtime in any::<f64>(), cpu in any::<f64>(), ram in any::<f64>(),
        ) {
            let checked = LIMITS.check(RawPrediction::from_array([runtime, cpu, ram]));
            prop_assert!(checked.prediction.runtime <= LIMITS.max_runtime);
            prop_assert!((0.0..=MAX_CPU_CORES).contains(&checked.prediction.cpu_cores));
            prop_assert!(checked.prediction.ram_bytes <= MAX_RAM_BYTES as u64);
        }

        #[test]
        fn an_answer_within_the_limits_is_not_changed(ns in 0u64..3_600_000_000_000, ram in 0u64..1 << 44) {
            let raw = RawPrediction::from_array([ns as f64, 1.25, ram as f64]);
            let checked = LIMITS.check(raw);
            prop_assert_eq!(checked.corrections().count(), 0);
            prop_assert_eq!(checked.prediction.runtime, Duration::from_nanos(ns));
            prop_assert_eq!(checked.prediction.ram_bytes, ram);
        }
    }
}
