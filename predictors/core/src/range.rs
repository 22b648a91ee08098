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
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The nearest value within; for NaN the least.
    #[must_use]
    pub fn clamp(&self, value: f64) -> f64 {
        if value.is_nan() { self.low } else { value.clamp(self.low, self.high) }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.low, self.high)
    }
}
