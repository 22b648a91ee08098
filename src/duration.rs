//! Durations as people write them, and factors for them.

use std::{fmt, str::FromStr, time::Duration};

/// The longest duration that is taken, ten years: far enough for everything here, and near enough
/// for a moment that far away to be counted.
pub const MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A duration such as `250ms` or `1m 30s`; a plain number is seconds.
///
/// # Errors
///
/// For anything else, and for more than [`MAX`]; the error says what was expected.
pub fn parse(text: &str) -> Result<Duration, String> {
    let expected = "expected a duration such as 250ms, 20s or 5m";
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds)
            .map_err(|_| format!("{expected}, or a number of seconds"))?,
        Err(_) => {
            humantime::parse_duration(text).map_err(|error| format!("{expected}: {error}"))?
        }
    };
    if duration > MAX {
        return Err("expected a duration of at most ten years".into());
    }
    Ok(duration)
}

/// A factor from 0 to [`Scale::MAX`] for durations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale(f64);

impl Scale {
    /// The largest factor.
    pub const MAX: f64 = 1000.0;
    /// Leaves durations as they are.
    pub const ONE: Self = Self(1.0);

    /// The duration times the factor, but at most [`MAX`].
    #[must_use]
    pub fn of(self, duration: Duration) -> Duration {
        if self == Self::ONE { duration } else { duration.min(MAX).mul_f64(self.0).min(MAX) }
    }
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor = text.parse().ok().filter(|factor| (0.0..=Self::MAX).contains(factor));
        let factor: f64 = factor.ok_or("expected a factor from 0 to 1000, such as 0.1")?;
        // -0 is 0.
        Ok(Self(factor.abs()))
    }
}

impl fmt::Display for Scale {
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
            factor in 0.0..=Scale::MAX,
            seconds in 0.0..MAX.as_secs_f64(),
        ) {
            let scale: Scale = factor.to_string().parse().unwrap();
            let found = scale.of(Duration::from_secs_f64(seconds)).as_secs_f64();
            let expected = (factor * seconds).min(MAX.as_secs_f64());
            prop_assert!((found - expected).abs() <= expected * 1e-9 + 1e-9, "{found}, {expected}");
            prop_assert_eq!(scale.to_string().parse(), Ok(scale));
        }
    }

    #[test]
    fn a_scale_is_a_number_from_0_to_1000() {
        assert_eq!("0".parse::<Scale>().unwrap().of(MAX), Duration::ZERO);
        assert_eq!("-0".parse::<Scale>().unwrap().of(MAX), Duration::ZERO);
        assert_eq!(Scale::ONE.of(Duration::from_nanos(12_345)), Duration::from_nanos(12_345));
        for bad in ["-1", "1001", "NaN", "inf", "half", ""] {
            assert!(bad.parse::<Scale>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_duration_has_a_unit_or_is_seconds() {
        assert_eq!(parse("20"), Ok(Duration::from_secs(20)));
        assert_eq!(parse("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("10y"), parse("10years"));
        for bad in ["-1", "NaN", "inf", "soon", "1e30", "1e12", "300y", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
