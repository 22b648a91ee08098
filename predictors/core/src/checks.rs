use std::{fmt, time::Duration};

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
/// reported, so that whoever runs the model can count it and say so.
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
    /// use hyperfake_predictor::{Fault, Limits, RawPrediction};
    ///
    /// let limits = Limits { max_runtime: Duration::from_secs(60) };
    /// let raw = RawPrediction { runtime_ns: 1e15, cpu_cores: -0.5, ram_bytes: 8e6 };
    /// let checked = limits.check(raw);
    /// assert_eq!(checked.prediction.runtime, limits.max_runtime);
    /// assert_eq!(checked.prediction.cpu_cores, 0.0);
    /// assert_eq!(checked.faults, [Some(Fault::TooLarge), Some(Fault::Negative), None]);
    /// ```
    #[must_use]
    pub fn check(&self, raw: RawPrediction) -> Checked {
        let max_runtime_ns = self.max_runtime.as_secs_f64() * 1e9;
        let (runtime_ns, runtime_fault) = bound(raw.runtime_ns, max_runtime_ns);
        let (cpu_cores, cpu_fault) = bound(raw.cpu_cores, MAX_CPU_CORES);
        let (ram_bytes, ram_fault) = bound(raw.ram_bytes, MAX_RAM_BYTES);
        let runtime = match runtime_fault {
            Some(Fault::TooLarge) => self.max_runtime,
            _ => Duration::from_nanos(runtime_ns.round() as u64).min(self.max_runtime),
        };
        Checked {
            prediction: Prediction { runtime, cpu_cores, ram_bytes: ram_bytes.round() as u64 },
            faults: [runtime_fault, cpu_fault, ram_fault],
        }
    }
}

/// A prediction within the limits, and what had to be changed to get there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Checked {
    /// What the worker acts on.
    pub prediction: Prediction,
    /// What was wrong with each number, in the order of [`Output::ALL`].
    pub faults: [Option<Fault>; 3],
}

impl Checked {
    /// The numbers that were changed, and why.
    pub fn faults(&self) -> impl Iterator<Item = (Output, Fault)> {
        Output::ALL
            .into_iter()
            .zip(self.faults)
            .filter_map(|(output, fault)| Some((output, fault?)))
    }
}

/// What can be wrong with a predicted number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// NaN; counts as 0.
    NotANumber,
    /// Below zero; counts as 0.
    Negative,
    /// Infinite or above the maximum; counts as the maximum.
    TooLarge,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "not a number",
            Self::Negative => "negative",
            Self::TooLarge => "too large",
        })
    }
}

fn bound(value: f64, max: f64) -> (f64, Option<Fault>) {
    if (0.0..=max).contains(&value) {
        // Also turns -0.0 into 0.0.
        (value.abs(), None)
    } else if value.is_nan() {
        (0.0, Some(Fault::NotANumber))
    } else if value < 0.0 {
        (0.0, Some(Fault::Negative))
    } else {
        (max, Some(Fault::TooLarge))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { max_runtime: Duration::from_secs(3600) };

    #[test]
    fn each_number_is_brought_into_its_range_on_its_own() {
        let checked = LIMITS.check(RawPrediction::from_array([f64::NAN, f64::INFINITY, 5.4]));
        assert_eq!(checked.prediction.runtime, Duration::ZERO);
        assert_eq!(checked.prediction.cpu_cores, MAX_CPU_CORES);
        assert_eq!(checked.prediction.ram_bytes, 5);
        let faults: Vec<_> = checked.faults().collect();
        assert_eq!(
            faults,
            [(Output::RuntimeNs, Fault::NotANumber), (Output::CpuCores, Fault::TooLarge)]
        );
    }

    proptest! {
        #[test]
        fn whatever_a_model_answers_the_prediction_is_within_the_limits(
            runtime in any::<f64>(), cpu in any::<f64>(), ram in any::<f64>(),
        ) {
            let checked = LIMITS.check(RawPrediction::from_array([runtime, cpu, ram]));
            prop_assert!(checked.prediction.runtime <= LIMITS.max_runtime);
            prop_assert!((0.0..=MAX_CPU_CORES).contains(&checked.prediction.cpu_cores));
            prop_assert!(checked.prediction.ram_bytes <= MAX_RAM_BYTES as u64);
        }

        #[test]
        fn a_sane_answer_is_not_changed(ns in 0u64..3_600_000_000_000, ram in 0u64..1 << 44) {
            let raw = RawPrediction::from_array([ns as f64, 1.25, ram as f64]);
            let checked = LIMITS.check(raw);
            prop_assert_eq!(checked.faults().count(), 0);
            prop_assert_eq!(checked.prediction.runtime, Duration::from_nanos(ns));
            prop_assert_eq!(checked.prediction.ram_bytes, ram);
        }
    }
}
