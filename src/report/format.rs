//! Numbers for people: three or four digits and a unit.

use std::time::Duration;

use hyperfake_predictor::Prediction;

/// Such as `7.02 ms`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    nanoseconds(duration.as_nanos() as f64)
}

/// The same from a number of nanoseconds, which may be negative.
#[must_use]
pub fn nanoseconds(ns: f64) -> String {
    scaled(ns, 1000.0, &["ns", "us", "ms", "s"])
}

/// Such as `8.1 MB`.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB"])
}

/// Such as `1 thread` or `2 threads`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A prediction on one line.
#[must_use]
pub fn prediction(prediction: &Prediction) -> String {
    format!(
        "{}, {:.2} cores, {}",
        duration(prediction.runtime),
        prediction.cpu_cores,
        bytes(prediction.ram_bytes as f64)
    )
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for next in units {
        if value.abs() < step {
            break;
        }
        value /= step;
        unit = next;
    }
    let decimals = match value.abs() {
        _ if value == value.trunc() && value.abs() < step => 0,
        small if small < 10.0 => 3,
        medium if medium < 100.0 => 2,
        _ => 1,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_few_digits_and_a_fitting_unit() {
        assert_eq!(duration(Duration::from_nanos(7_016_900)), "7.017 ms");
        assert_eq!(duration(Duration::ZERO), "0 ns");
        assert_eq!(duration(Duration::from_secs(67)), "67 s");
        assert_eq!(nanoseconds(-61_234.0), "-61.23 us");
        assert_eq!(bytes(134_217_728.0), "134.2 MB");
        assert_eq!(count(1, "thread"), "1 thread");
    }
}
