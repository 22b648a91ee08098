mod knots;
mod measured;
mod mixture;

use std::{sync::Arc, time::Duration};

use hyperfake_predictor::normal;

use self::{knots::Knots, measured::Measured, mixture::Mixture};
use super::{Draws, Purpose};
use crate::duration::MAX;

/// How long something takes: a quantile function of one number, evenly spread from 0 to 1. Copies share
/// it.
///
/// ```
/// use std::time::Duration;
/// use hyperfake_worker::scenario::Distribution;
///
/// let ms = Duration::from_millis;
/// let time = Distribution::log_normal(ms(120), ms(900))?;
/// assert_eq!(time.at(0.5), ms(120));
/// assert_eq!(time.at(0.99), ms(900));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution(Arc<Shape>);

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Fixed(f64),
    Knots(Knots),
    Measured(Measured),
    Mixture(Mixture),
}

impl Distribution {
    /// Always the same.
    #[must_use]
    pub fn fixed(time: Duration) -> Self {
        Self(Arc::new(Shape::Fixed(nanoseconds(time))))
    }

    /// The log-normal distribution with this median and 99th percentile.
    ///
    /// # Errors
    ///
    /// When the median is zero, or the percentile is below it.
    pub fn log_normal(p50: Duration, p99: Duration) -> Result<Self, String> {
        if p50.is_zero() {
            return Err("found a p50 of 0, expected more".to_owned());
        }
        Self::quantiles(&[(0.5, p50), (0.99, p99)], None)
    }

    /// The distribution that has these quantiles, and this mean: pairs of a share of the values, from 0
    /// to 1, and the value below which they are, both ascending.
    ///
    /// Between them, the logarithm is a straight line over the normal score (two of them are a log-normal
    /// distribution). With a mean, the parts above the median are bent so far that the distribution has
    /// it and still has the quantiles.
    ///
    /// # Errors
    ///
    /// When there are fewer than two, they are not ascending, or the mean does not go with them.
    pub fn quantiles(knots: &[(f64, Duration)], mean: Option<Duration>) -> Result<Self, String> {
        let knots: Vec<_> = knots.iter().map(|(u, value)| (*u, nanoseconds(*value))).collect();
        let knots = Knots::new(&knots, mean.map(nanoseconds))?;
        Ok(Self(Arc::new(Shape::Knots(knots))))
    }

    /// Measured values in nanoseconds, each as likely as the others.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn measured(values: Vec<f64>) -> Result<Self, String> {
        Ok(Self(Arc::new(Shape::Measured(Measured::new(values)?))))
    }

    /// Values of several distributions, by weight.
    ///
    /// # Errors
    ///
    /// When there is none, or a weight is not above zero.
    pub fn mix(parts: Vec<(f64, Self)>) -> Result<Self, String> {
        Ok(Self(Arc::new(Shape::Mixture(Mixture::new(parts)?))))
    }

    /// The value, in nanoseconds, below which this share of the values is.
    #[must_use]
    pub fn quantile(&self, u: f64) -> f64 {
        // The ends may be infinite.
        let u = u.clamp(0.5_f64.powi(54), 1.0 - 0.5_f64.powi(53));
        match &*self.0 {
            Shape::Fixed(value) => *value,
            Shape::Knots(knots) => knots.quantile(u),
            Shape::Measured(measured) => measured.quantile(u),
            Shape::Mixture(mixture) => mixture.quantile(u),
        }
    }

    /// [`Distribution::quantile`] as a duration, at most [`MAX`].
    #[must_use]
    pub fn at(&self, u: f64) -> Duration {
        duration(self.quantile(u))
    }

    /// The mean, in nanoseconds.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match &*self.0 {
            Shape::Fixed(value) => *value,
            Shape::Knots(knots) => knots.mean(),
            Shape::Measured(measured) => measured.mean(),
            Shape::Mixture(mixture) => mixture.mean(),
        }
    }

    /// The value for a call or an instance of this number; at most [`MAX`].
    #[must_use]
    pub fn draw(&self, draws: Draws, number: u64, purpose: Purpose) -> Duration {
        self.at(draws.unit(number, purpose))
    }

    /// The share of the values that are not above this one, in nanoseconds.
    fn cdf(&self, value: f64) -> f64 {
        match &*self.0 {
            Shape::Fixed(fixed) => f64::from(u8::from(*fixed <= value)),
            Shape::Knots(knots) => knots.cdf(value),
            Shape::Measured(measured) => measured.cdf(value),
            Shape::Mixture(mixture) => mixture.cdf(value),
        }
    }
}

/// A factor with a mean of 1 for an evenly spread number: log-normal with this sigma.
pub(super) fn factor(sigma: f64, u: f64) -> f64 {
    let u = u.clamp(0.5_f64.powi(54), 1.0 - 0.5_f64.powi(53));
    libm::exp(sigma * normal::quantile(u) - sigma * sigma / 2.0)
}

/// The sigma of a log-normal distribution whose 99th percentile is this many times its median.
pub(super) fn sigma(p99_over_p50: f64) -> f64 {
    libm::log(p99_over_p50) / normal::quantile(0.99)
}

/// A duration in nanoseconds, at most [`MAX`].
pub(super) fn nanoseconds(time: Duration) -> f64 {
    // 128 bits take several times as long.
    let time = time.min(MAX);
    (time.as_secs() * 1_000_000_000 + u64::from(time.subsec_nanos())) as f64
}

/// Nanoseconds as a duration, at most [`MAX`].
pub(super) fn duration(nanoseconds: f64) -> Duration {
    const LONGEST: u64 = MAX.as_secs() * 1_000_000_000;
    Duration::from_nanos(((nanoseconds + 0.5) as u64).min(LONGEST))
}

#[cfg(test)]
mod tests;
