//! Durations as people write them.

use std::time::Duration;

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

#[cfg(test)]
mod tests {
    use super::*;

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
