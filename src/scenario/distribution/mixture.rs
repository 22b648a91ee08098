use super::Distribution;

/// Values of several distributions, each with its share of all values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mixture {
    /// Shares, which sum to 1.
    parts: Box<[(f64, Distribution)]>,
    /// The quantiles at multiples of 1 / [`STEPS`], which bound the search for the others.
    table: Box<[f64]>,
}

const STEPS: usize = 1024;

/// A quantile is found as exactly as this, as a share of it.
const EXACT: f64 = 1e-9;

impl Mixture {
    /// # Errors
    ///
    /// When a weight is not above zero, or there is no part.
    pub(super) fn new(parts: Vec<(f64, Distribution)>) -> Result<Self, String> {
        let sum: f64 = parts.iter().map(|(weight, _)| weight).sum();
        if parts.is_empty() {
            return Err("found no part, expected at least one".to_owned());
        }
        if !sum.is_finite() || parts.iter().any(|(weight, _)| *weight <= 0.0) {
            return Err("expected weights above 0".to_owned());
        }
        let parts = parts.into_iter().map(|(weight, part)| (weight / sum, part)).collect();
        let mut mixture = Self { parts, table: Box::default() };
        let inner = (1..STEPS).map(|step| mixture.search(step as f64 / STEPS as f64));
        mixture.table = inner.collect();
        Ok(mixture)
    }

    pub(super) fn quantile(&self, u: f64) -> f64 {
        self.search(u)
    }

    pub(super) fn cdf(&self, value: f64) -> f64 {
        self.parts.iter().map(|(share, part)| share * part.cdf(value)).sum()
    }

    pub(super) fn mean(&self) -> f64 {
        self.parts.iter().map(|(share, part)| share * part.mean()).sum()
    }

    /// The smallest value that this share of the values does not exceed.
    fn search(&self, u: f64) -> f64 {
        let quantiles = self.parts.iter().map(|(_, part)| part.quantile(u));
        let (mut low, mut high) = quantiles
            .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let step = (u * STEPS as f64) as usize;
        if let Some(bound) = step.checked_sub(1).and_then(|before| self.table.get(before)) {
            low = low.max(bound * (1.0 - EXACT));
        }
        if let Some(bound) = self.table.get(step) {
            high = high.min(bound * (1.0 + EXACT)).max(low);
        }
        while high - low > EXACT * high {
            let middle = f64::midpoint(low, high);
            if middle <= low || middle >= high {
                break;
            }
            if self.cdf(middle) < u { low = middle } else { high = middle }
        }
        high
    }
}
