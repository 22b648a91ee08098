mod part;

use std::str::FromStr;

use self::part::Part;
use crate::{Error, Result, normal};

/// The levels at which a model states the quantiles of its numbers: shares of all calls, in ascending
/// order.
///
/// With the quantiles at these levels, which do not decrease, they are a quantile function:
///
/// - Between two levels the logarithm of the number is a straight line over the normal score of the
///   level, so that two levels make a log-normal distribution. Towards the levels 0 and 1, whose scores
///   are infinite, it is a straight line over the level itself.
/// - Beyond the outermost levels the line goes on, but no steeper than that of a log-normal distribution
///   with a sigma of 2: two levels that are close to each other say little of what is far from them.
/// - Where the lower of two quantiles is not positive, or less than a millionth of the other, the number
///   itself is the straight line: a logarithm would make much of rounding. Below such a quantile there
///   is nothing less.
///
/// ```
/// use hyperfake_predictor::Levels;
///
/// let levels: Levels = "0.1,0.5,0.9".parse()?;
/// let quantiles = [1e6, 4e6, 16e6];
/// assert_eq!(levels.at(&quantiles, 0.5), 4e6);
/// // Equal steps for equal steps of the normal score: this is a log-normal distribution.
/// assert!((levels.at(&quantiles, 0.841_344_75) - 4e6 * 1.081_731_f64.exp()).abs() < 10.0);
/// # Ok::<(), hyperfake_predictor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    levels: Box<[f64]>,
    /// The normal score of each.
    scores: Box<[f64]>,
}

impl Levels {
    /// The most levels.
    pub const MAX: usize = 1000;

    /// # Errors
    ///
    /// `Invalid` unless these are 2 to [`Levels::MAX`] ascending numbers from 0 to 1.
    pub fn new(levels: Vec<f64>) -> Result<Self> {
        let count = levels.len();
        if !(2..=Self::MAX).contains(&count) {
            let message = format!("found {count} levels, expected 2 to {}", Self::MAX);
            return Err(Error::invalid(message));
        }
        if let Some(outside) = levels.iter().find(|level| !(0.0..=1.0).contains(*level)) {
            let message = format!("found the level {outside}, expected a number from 0 to 1");
            return Err(Error::invalid(message));
        }
        if let Some([first, second]) = levels.array_windows().find(|[a, b]| a >= b) {
            let message =
                format!("found the level {second} behind {first}, expected ascending levels");
            return Err(Error::invalid(message));
        }
        let scores = levels.iter().map(|level| normal::quantile(*level)).collect();
        Ok(Self { levels: levels.into(), scores })
    }

    /// How many there are: as many quantiles belong to each number.
    #[must_use]
    pub fn count(&self) -> usize {
        self.levels.len()
    }

    /// The levels.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.levels
    }

    /// The quantile at any level; a level outside of 0 to 1 counts as the nearer of the two, and NaN
    /// as 0. Where there is no least or no greatest number, that at the level nearest to 0 or 1 is given.
    ///
    /// # Panics
    ///
    /// Unless there is a quantile for each level.
    #[must_use]
    pub fn at(&self, quantiles: &[f64], level: f64) -> f64 {
        assert_eq!(quantiles.len(), self.count(), "there is not a quantile for each level");
        let level = if level.is_nan() { 0.0 } else { level.clamp(0.0, 1.0) };
        let next = self.levels.partition_point(|known| *known <= level);
        if let Some(last) = next.checked_sub(1)
            && self.levels[last] == level
        {
            return quantiles[last];
        }
        // The normal scores of the ends are infinite.
        let level = level.clamp(f64::EPSILON / 4.0, 1.0 - f64::EPSILON / 2.0);
        let score = normal::quantile(level);
        match next {
            0 => self.part(quantiles, 0).before(score),
            next if next == self.count() => self.part(quantiles, next - 2).behind(score),
            next => self.part(quantiles, next - 1).at(level, score),
        }
    }

    /// The mean of the distribution: the integral of its quantiles over all levels, in closed form.
    ///
    /// # Panics
    ///
    /// As [`Levels::at`].
    #[must_use]
    pub fn mean(&self, quantiles: &[f64]) -> f64 {
        assert_eq!(quantiles.len(), self.count(), "there is not a quantile for each level");
        let last = self.count() - 2;
        let inner: f64 = (0..=last).map(|index| self.part(quantiles, index).sum()).sum();
        let (first, last) = (self.part(quantiles, 0), self.part(quantiles, last));
        first.sum_before() + inner + last.sum_behind()
    }

    fn part(&self, quantiles: &[f64], index: usize) -> Part {
        Part {
            levels: [self.levels[index], self.levels[index + 1]],
            scores: [self.scores[index], self.scores[index + 1]],
            quantiles: [quantiles[index], quantiles[index + 1]],
        }
    }
}

/// From numbers with commas between them, as settings have them.
impl FromStr for Levels {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let level = |word: &str| {
            let word = word.trim();
            let expected = || format!("found the level '{word}', expected a number from 0 to 1");
            word.parse::<f64>().map_err(|_| Error::invalid(expected()))
        };
        Self::new(text.split(',').map(level).collect::<Result<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{part::density, *};

    fn levels(text: &str) -> Levels {
        text.parse().unwrap()
    }

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= 1e-9 * expected.abs()
    }

    /// Between 0.5 and 0.99, and beyond, a log-normal distribution with the median 10 and a sigma of 0.9.
    #[test]
    fn two_levels_make_a_log_normal_distribution() {
        const SIGMA: f64 = 0.9;
        let quantile = |level: f64| 10.0 * (SIGMA * normal::quantile(level)).exp();
        let levels = levels("0.5,0.99");
        let quantiles = [quantile(0.5), quantile(0.99)];
        for level in [1e-9, 0.01, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999, 1.0 - 1e-9] {
            let (found, expected) = (levels.at(&quantiles, level), quantile(level));
            assert!(near(found, expected), "{level}: {found}, not {expected}");
        }
        let mean = levels.mean(&quantiles);
        assert!(near(mean, 10.0 * (SIGMA * SIGMA / 2.0).exp()), "{mean}");
        // As near to the ends as there are numbers.
        assert_eq!(levels.at(&quantiles, f64::NAN), levels.at(&quantiles, -1.0));
        assert!(near(levels.at(&quantiles, 2.0), quantile(1.0 - f64::EPSILON / 2.0)));
    }

    #[test]
    fn steep_steps_do_not_go_on_for_ever() {
        let levels = levels("0.5,0.98,0.99");
        let quantiles = [1.0, 1.0, 90.0];
        // A sigma of 2 from the score 2.326 on.
        let expected = 90.0 * (2.0 * (normal::quantile(0.999) - normal::quantile(0.99))).exp();
        assert!(near(levels.at(&quantiles, 0.999), expected));
        assert_eq!(levels.at(&quantiles, 0.0), 1.0);
        let mean = levels.mean(&quantiles);
        assert!((3.0..5.0).contains(&mean), "{mean}");
    }

    #[test]
    fn towards_the_levels_0_and_1_it_is_a_line_over_the_level() {
        let levels = levels("0,0.5,1");
        let quantiles = [1.0, 2.0, 8.0];
        for (level, expected) in
            [(0.0, 1.0), (0.25, 2.0_f64.sqrt()), (0.5, 2.0), (0.75, 4.0), (1.0, 8.0)]
        {
            assert!(near(levels.at(&quantiles, level), expected), "{level}");
        }
        // (2 - 1) / ln 2 / 2 + (8 - 2) / ln 4 / 2
        assert!(near(levels.mean(&quantiles), 2.0 / 2.0_f64.ln()));
    }

    #[test]
    fn quantiles_of_zero_are_on_a_line_to_the_next_one() {
        let levels = levels("0.2,0.5,0.8");
        let quantiles = [0.0, 1.0, 3.0];
        assert_eq!(levels.at(&quantiles, 0.0), 0.0);
        let middle = normal::cdf(normal::quantile(0.2) / 2.0);
        assert!(near(levels.at(&quantiles, middle), 0.5));
        assert_eq!(levels.mean(&[0.0; 3]), 0.0);
        assert_eq!(levels.at(&[-1.0, 0.0, 0.0], 0.9), 0.0);
    }

    #[test]
    fn quantiles_that_are_no_numbers_do_not_become_numbers() {
        let levels = levels("0.2,0.6,0.8");
        assert!(levels.mean(&[1.0, 2.0, f64::NAN]).is_nan());
        assert!(levels.at(&[1.0, 2.0, f64::NAN], 0.7).is_nan());
        assert_eq!(levels.mean(&[1.0, 2.0, f64::INFINITY]), f64::INFINITY);
        assert_eq!(levels.at(&[1.0, 2.0, f64::INFINITY], 0.6), 2.0);
        assert_eq!(levels.at(&[1.0, 2.0, f64::INFINITY], 0.7), f64::INFINITY);
        assert_eq!(levels.at(&[f64::INFINITY; 3], 0.7), f64::INFINITY);
    }

    #[test]
    fn what_are_no_levels_is_refused_with_what_was_found() {
        for (text, expected) in [
            ("", "found the level '', expected a number from 0 to 1"),
            ("0.5,x", "found the level 'x', expected a number from 0 to 1"),
            ("0.5", "found 1 levels, expected 2 to 1000"),
            ("0.5,1.5", "found the level 1.5, expected a number from 0 to 1"),
            ("0.5,NaN", "found the level NaN, expected a number from 0 to 1"),
            ("-0.1,0.5", "found the level -0.1, expected a number from 0 to 1"),
            ("0.5,0.5", "found the level 0.5 behind 0.5, expected ascending levels"),
            ("0.9,0.5", "found the level 0.5 behind 0.9, expected ascending levels"),
        ] {
            assert_eq!(text.parse::<Levels>().unwrap_err().to_string(), expected, "{text}");
        }
        assert!(Levels::new((0..=1000).map(|i| f64::from(i) / 1000.0).collect()).is_err());
        assert_eq!(levels(" 0.1, 0.9").as_slice(), [0.1, 0.9]);
    }

    fn distribution() -> impl Strategy<Value = (Levels, Vec<f64>)> {
        let knot = (1..1000_u32, prop_oneof![Just(0.0), 0.0..3.0]);
        let least = prop_oneof![Just(0.0), 1e-9..1e9];
        (prop::collection::vec(knot, 2..12), least).prop_map(|(knots, least)| {
            let mut levels: Vec<_> =
                knots.iter().map(|(level, _)| f64::from(*level) / 1e3).collect();
            levels.sort_by(f64::total_cmp);
            levels.dedup();
            if let [only] = levels[..] {
                levels = vec![only / 2.0, only];
            }
            let steps = knots.iter().map(|(_, step)| *step).take(levels.len());
            let quantiles = steps.scan(least, |number: &mut f64, step: f64| {
                *number = (*number).max(1e-3 * step) * step.exp();
                Some(*number)
            });
            let quantiles = quantiles.collect();
            (Levels::new(levels).unwrap(), quantiles)
        })
    }

    proptest! {
        #[test]
        fn numbers_do_not_decrease_when_the_level_grows(
            (levels, quantiles) in distribution(), mut asked in prop::collection::vec(0.0..=1.0_f64, 50),
        ) {
            asked.extend(levels.as_slice());
            asked.extend([0.0, 1.0]);
            asked.sort_by(f64::total_cmp);
            let numbers: Vec<_> = asked.iter().map(|level| levels.at(&quantiles, *level)).collect();
            for [before, after] in numbers.array_windows() {
                // Levels that are as good as the same may give numbers in the order of their rounding.
                prop_assert!(before * (1.0 - 1e-12) <= *after, "{numbers:?}");
            }
            prop_assert!(numbers.iter().all(|number| number.is_finite() && *number >= 0.0));
        }

        #[test]
        fn the_quantile_at_a_stated_level_is_the_stated_one((levels, quantiles) in distribution()) {
            for (level, quantile) in levels.as_slice().iter().zip(&quantiles) {
                prop_assert_eq!(levels.at(&quantiles, *level), *quantile);
            }
        }

        #[test]
        fn the_mean_is_that_of_the_numbers_at_all_levels((levels, quantiles) in distribution()) {
            // Over the scores, where the tails are thin: a step of 1/2000 from -8 to 8.
            let scores = (-16_000..=16_000).map(|step| f64::from(step) / 2000.0);
            let sum: f64 = scores
                .map(|score| levels.at(&quantiles, normal::cdf(score)) * density(score) / 2000.0)
                .sum();
            let found = levels.mean(&quantiles);
            prop_assert!((found - sum).abs() <= 2e-3 * sum, "{found}, not {sum}");
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9eE.,+ naif-]{0,30}") {
            let _ = text.parse::<Levels>();
        }
    }
}
