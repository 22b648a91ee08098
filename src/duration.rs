//! Durations as people write them.

use std::time::Duration;

/// A year of 365.25 days, in seconds.
const YEAR: u64 = 31_557_600;

/// The longest duration that is accepted, ten years: far enough for everything here, and near enough
/// for a moment that far away to be counted.
pub const MAX: Duration = Duration::from_secs(10 * YEAR);

const EXPECTED: &str = "expected a duration such as 250ms, 20s or 1m 30s, or a number of seconds";

/// A duration such as `250ms` or `1m 30s`; a plain number is seconds.
///
/// # Errors
///
/// For anything else, and for more than [`MAX`]; the error says what was expected.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds)
            .map_err(|_| if seconds.is_finite() && seconds > 0.0 { TOO_LONG } else { EXPECTED })?,
        Err(_) => sum(text)?,
    };
    if duration > MAX { Err(TOO_LONG.into()) } else { Ok(duration) }
}

const TOO_LONG: &str = "expected a duration of at most ten years";

/// Numbers with units, one after the other.
fn sum(mut text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Err(EXPECTED.into());
    }
    let mut sum = Duration::ZERO;
    while !text.is_empty() {
        let (number, behind) = text.split_at(number_length(text));
        let behind = behind.trim_start();
        let (unit, rest) = behind.split_at(length(behind, char::is_alphabetic));
        let nanoseconds = match nanoseconds(unit) {
            Some(nanoseconds) => nanoseconds,
            None if unit.is_empty() => return Err(EXPECTED.into()),
            None => {
                return Err(format!(
                    "{EXPECTED}: '{unit}' is not one of the units ns, us, ms, s, m, h, d, w, M and y"
                ));
            }
        };
        let part = match (number.parse::<u64>(), number.parse::<f64>()) {
            (Ok(whole), _) => whole.checked_mul(nanoseconds).map(Duration::from_nanos),
            (_, Ok(number)) => Duration::try_from_secs_f64(number * nanoseconds as f64 / 1e9).ok(),
            _ => return Err(EXPECTED.into()),
        };
        sum = part.and_then(|part| sum.checked_add(part)).ok_or(TOO_LONG)?;
        text = rest.trim_start();
    }
    Ok(sum)
}

/// The bytes of a number at the beginning: digits, a point, and perhaps an exponent.
fn number_length(text: &str) -> usize {
    let digits = |text| length(text, |c| c.is_ascii_digit());
    let mantissa = length(text, |c| c.is_ascii_digit() || c == '.');
    let rest = &text[mantissa..];
    let exponent = rest.strip_prefix(['e', 'E']).unwrap_or_default();
    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    match digits(unsigned) {
        0 => mantissa,
        length => text.len() - unsigned.len() + length,
    }
}

/// The bytes of the leading characters for which this holds.
fn length(text: &str, holds: impl Fn(char) -> bool) -> usize {
    text.find(|c| !holds(c)).unwrap_or(text.len())
}

fn nanoseconds(unit: &str) -> Option<u64> {
    const SECOND: u64 = 1_000_000_000;
    Some(match unit {
        "ns" | "nsec" | "nanos" => 1,
        // The micro sign, and the Greek letter that looks like it.
        "us" | "\u{b5}s" | "\u{3bc}s" | "usec" => 1000,
        "ms" | "msec" | "millis" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => 60 * SECOND,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600 * SECOND,
        "d" | "day" | "days" => 86_400 * SECOND,
        "w" | "wk" | "wks" | "week" | "weeks" => 7 * 86_400 * SECOND,
        "M" | "month" | "months" => YEAR / 12 * SECOND,
        "y" | "yr" | "yrs" | "year" | "years" => YEAR * SECOND,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_duration_or_refused(text in "[ 0-9.eE+smhdyM-]{0,60}|.*") {
            prop_assert!(parse(&text).is_err() || parse(&text).unwrap() <= MAX);
        }
    }

    #[test]
    fn a_duration_has_a_unit_or_is_seconds() {
        const DAY: u64 = 24 * 3600;
        for (text, expected) in [
            ("20", Duration::from_secs(20)),
            ("0.5", Duration::from_millis(500)),
            (" 1e3 ", Duration::from_secs(1000)),
            ("1e3s", Duration::from_secs(1000)),
            ("1.5e-3 s", Duration::from_micros(1500)),
            ("1m 30s", Duration::from_secs(90)),
            ("1h30m15s", Duration::from_secs(5415)),
            ("1.5h", Duration::from_secs(5400)),
            ("0.1s", Duration::from_millis(100)),
            ("123456789ns", Duration::from_nanos(123_456_789)),
            ("7us 8\u{b5}s 9\u{3bc}s", Duration::from_micros(24)),
            ("2w 1d", Duration::from_secs(15 * DAY)),
            // A year is 365.25 days, and a month a twelfth of it.
            ("1y", Duration::from_secs(365 * DAY + 6 * 3600)),
            ("12M", Duration::from_secs(365 * DAY + 6 * 3600)),
            ("10y", Duration::from_secs(3652 * DAY + 12 * 3600)),
            ("10 years", Duration::from_secs(3652 * DAY + 12 * 3600)),
            ("-0", Duration::ZERO),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for bad in [
            "-1",
            "-1s",
            "NaN",
            "inf",
            "soon",
            "",
            " ",
            "s",
            "1 2s",
            "1m 30",
            "1.2.3s",
            ".s",
            "1e s",
            "1_000s",
            "1,5s",
            "0x10s",
            "5ss",
            "5 parsecs",
            "\u{663}s",
            "\u{ff11}s",
            "1s;",
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.starts_with("expected a duration such as"), "{bad}: {error}");
        }
        for long in [
            "1e30s",
            "1e30",
            "1e12",
            "300y",
            "10y 1ns",
            "18446744073709551615s 1000ms",
            "18446744073709551615y",
            "99999999999999999999999s",
            "1e308y 1e308y",
        ] {
            let error = parse(long).unwrap_err();
            assert!(error.contains("at most ten years"), "{long}: {error}");
        }
    }
}
