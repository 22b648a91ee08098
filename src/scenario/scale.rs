use std::{fmt, str::FromStr, time::Duration};

use crate::duration::MAX;

/// A factor from 0 to [`TimeScale::MAX`] for durations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeScale(f64);

impl TimeScale {
    /// The largest factor.
    pub const MAX: f64 = 1000.0;
    /// Leaves durations as they are.
    pub const ONE: Self = Self(1.0);

    /// The factor.
    #[must_use]
    pub fn factor(self) -> f64 {
        self.0
    }

    /// The duration times the factor, but at most [`MAX`].
    #[must_use]
    pub fn apply(self, duration: Duration) -> Duration {
        if self == Self::ONE { duration } else { duration.min(MAX).mul_f64(self.0).min(MAX) }
    }
}

impl FromStr for TimeScale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor = text.parse().ok().filter(|factor| (0.0..=Self::MAX).contains(factor));
        let factor: f64 = factor.ok_or("expected a factor from 0 to 1000, such as 0.1")?;
        // -0 is 0.
        Ok(Self(factor.abs()))
    }
}

impl fmt::Display for TimeScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_scale_multiplies_up_to_the_longest_duration(
            factor in 0.0..=TimeScale::MAX,
            seconds in 0.0..MAX.as_secs_f64(),
        ) {
            let scale: TimeScale = factor.to_string().parse().unwrap();
            let found = scale.apply(Duration::from_secs_f64(seconds)).as_secs_f64();
            let expected = (factor * seconds).min(MAX.as_secs_f64());
            prop_assert!((found - expected).abs() <= expected * 1e-9 + 1e-9, "{found}, {expected}");
            prop_assert_eq!(scale.to_string().parse(), Ok(scale));
        }
    }

    #[test]
    fn a_scale_is_a_number_from_0_to_1000() {
        assert_eq!("0".parse::<TimeScale>().unwrap().apply(MAX), Duration::ZERO);
        assert_eq!("-0".parse::<TimeScale>().unwrap().apply(MAX), Duration::ZERO);
        assert_eq!(
            TimeScale::ONE.apply(Duration::from_nanos(12_345)),
            Duration::from_nanos(12_345)
        );
        for bad in ["-1", "1001", "NaN", "inf", "half", ""] {
            assert!(bad.parse::<TimeScale>().is_err(), "{bad}");
        }
    }
}
