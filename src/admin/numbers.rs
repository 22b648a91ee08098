//! Numbers as JSON shows them.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Four significant digits: no statistic here is more exact, and the text is short.
pub(super) fn rounded(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return 0.0;
    }
    let digits = 3 - number.abs().log10().floor() as i32;
    let factor = 10f64.powi(digits.abs());
    if digits >= 0 {
        (number * factor).round() / factor
    } else {
        (number / factor).round() * factor
    }
}

/// Seconds.
pub(super) fn seconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64())
}

/// A share or a mean; nothing of nothing.
pub(super) fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| rounded(part / whole))
}

/// The times in seconds that these shares of the times did not exceed.
pub(super) fn quantiles<const N: usize>(
    times: &Histogram<u32>,
    shares: [f64; N],
) -> Option<[f64; N]> {
    let at = |share| rounded(times.value_at_quantile(share) as f64 / 1e9);
    (!times.is_empty()).then(|| shares.map(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_four_digits_whatever_its_size() {
        for (number, expected) in [
            (0.0, 0.0),
            (1234.56, 1235.0),
            (25_284_123_456.0, 25_280_000_000.0),
            (0.000_123_456, 0.000_123_5),
            (-9.99999, -10.0),
            (f64::NAN, 0.0),
            (f64::INFINITY, 0.0),
        ] {
            assert!((rounded(number) - expected).abs() <= expected.abs() * 1e-12, "{number}");
        }
        assert_eq!(serde_json::to_string(&rounded(0.1 + 0.2)).unwrap(), "0.3");
    }

    #[test]
    fn nothing_has_no_quantiles_and_no_share() {
        let mut times = Histogram::<u32>::new(2).unwrap();
        assert_eq!(quantiles(&times, [0.5]), None);
        times.record(2_000_000_000).unwrap();
        let [half] = quantiles(&times, [0.5]).unwrap();
        assert!((half - 2.0).abs() < 0.02, "{half}");
        assert_eq!((ratio(1.0, 0.0), ratio(1.0, 3.0)), (None, Some(0.3333)));
    }
}
