use std::fmt;

/// The values of one input that a model was trained on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    low: f64,
    high: f64,
}

impl Range {
    /// How many standard deviations from the mean still count as trained on.
    pub const DEVIATIONS: f64 = 5.0;

    /// From the least to the greatest value; nothing unless both are finite and in order.
    #[must_use]
    pub fn new(low: f64, high: f64) -> Option<Self> {
        (low.is_finite() && high.is_finite() && low <= high).then_some(Self { low, high })
    }

    /// Around a mean, [`Range::DEVIATIONS`] standard deviations to each side; nothing unless both
    /// are finite and the deviation is not negative.
    #[must_use]
    pub fn around(mean: f64, deviation: f64) -> Option<Self> {
        let reach = Self::DEVIATIONS * deviation;
        Self::new(mean - reach, mean + reach)
    }

    /// The least value.
    #[must_use]
    pub fn low(&self) -> f64 {
        self.low
    }

    /// The greatest value.
    #[must_use]
    pub fn high(&self) -> f64 {
        self.high
    }

    /// Whether a value lies within; NaN does not.
    #[must_use]
    #[inline]
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The nearest value within; for NaN the least.
    #[must_use]
    pub fn clamp(&self, value: f64) -> f64 {
        if value.is_nan() { self.low } else { value.clamp(self.low, self.high) }
    }
}

/// With four digits that count, as a person writes numbers: `-3.25 to 1,235,000`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", written(self.low), written(self.high))
    }
}

/// How many digits of a number count.
const DIGITS: i32 = 4;

fn written(value: f64) -> String {
    let magnitude = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    if !(-6.0..15.0).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let decimals = DIGITS - 1 - magnitude as i32;
    if decimals > 0 {
        let text = format!("{value:.*}", decimals as usize);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return if text == "-0" { "0".to_owned() } else { text.to_owned() };
    }
    let step = 10_f64.powi(-decimals);
    let whole = ((value / step).round() * step).abs() as u64;
    let digits = whole.to_string();
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_written_as_a_person_writes_numbers() {
        for (low, high, expected) in [
            (0.0, 1e6, "0 to 1,000,000"),
            (-3.25, 1_234_567.0, "-3.25 to 1,235,000"),
            (0.123456, 99_999.0, "0.1235 to 100,000"),
            (17.304_999, 999.96, "17.3 to 1000"),
            (-1_204_331.4, 5.5e10, "-1,204,000 to 55,000,000,000"),
            (1e-9, 1e18, "1.000e-9 to 1.000e18"),
        ] {
            assert_eq!(Range::new(low, high).unwrap().to_string(), expected);
        }
    }
}
