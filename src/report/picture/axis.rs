use std::ops::Range;

use plotters::{
    coord::{
        ranged1d::{DefaultFormatting, KeyPointHint},
        types::RangedCoordf64,
    },
    prelude::{IntoLogRange, LogCoord, Ranged},
};

/// About how many ticks an axis has.
const TICKS: usize = 8;

/// A scale with ticks of its own: plotters does not format those of its `WithKeyPoints`.
pub(crate) struct Axis<S> {
    scale: S,
    ticks: Vec<f64>,
}

impl Axis<RangedCoordf64> {
    /// From 0 to this number.
    pub(crate) fn linear(end: f64) -> Self {
        Self { scale: (0.0..end).into(), ticks: ticks(end) }
    }
}

impl Axis<LogCoord<f64>> {
    /// A logarithmic one that has these two numbers.
    pub(crate) fn logarithmic(least: f64, most: f64) -> Self {
        let (scale, ticks) = log_axis(least, most);
        Self { scale: scale.log_scale().into(), ticks }
    }
}

impl<S: Ranged<ValueType = f64>> Ranged for Axis<S> {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.scale.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Between them there are none.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.scale.range()
    }
}

/// Round numbers from 0 to this one.
fn ticks(end: f64) -> Vec<f64> {
    let (mut factor, mut exponent) = (1.0, (end / TICKS as f64).log10().floor() as i32);
    for (next, more) in [(2.0, 0), (5.0, 0), (1.0, 1)] {
        if end / (factor * 10_f64.powi(exponent)) <= TICKS as f64 {
            break;
        }
        (factor, exponent) = (next, exponent + more);
    }
    // Divided by a power of ten that is exact, so that no tick is 0.30000000000000004.
    let tick = |number: u32| match exponent {
        0.. => f64::from(number) * factor * 10_f64.powi(exponent),
        _ => f64::from(number) * factor / 10_f64.powi(-exponent),
    };
    (0..=TICKS as u32 + 1).map(tick).take_while(|tick| *tick <= end).collect()
}

/// A logarithmic axis for numbers between these two, and its ticks: 1, 2 and 5 times powers of ten, or the
/// powers alone where those would be many.
fn log_axis(least: f64, most: f64) -> (Range<f64>, Vec<f64>) {
    /// The most powers of ten with ticks between them.
    const MANY: i32 = 4;
    let (first, last) = (least.log10().floor() as i32, most.log10().ceil() as i32 + 1);
    let round = |factors: &'static [f64]| {
        let powers = (first..=last).map(|exponent| 10_f64.powi(exponent));
        powers.flat_map(move |power| factors.iter().map(move |factor| factor * power))
    };
    let all = || round(&[1.0, 2.0, 5.0]);
    let begin = all().take_while(|number| *number <= least).last().unwrap_or(least / 2.0);
    let end = all().find(|number| *number > most).unwrap_or(most * 2.0);
    let ticks =
        if last - first <= MANY { all().collect() } else { round(&[1.0]).collect::<Vec<_>>() };
    let ticks = ticks.into_iter().filter(|tick| (begin..=end).contains(tick)).collect();
    (begin..end, ticks)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_logarithmic_axis_has_its_numbers_and_ticks(least in 1.0..1e19_f64, factor in 1.0..1e6_f64) {
            let most = least * factor;
            let (range, ticks) = log_axis(least, most);
            prop_assert!(range.start <= least && most < range.end);
            prop_assert!(range.end / range.start <= 25.0 * factor);
            prop_assert!((2..=16).contains(&ticks.len()), "{:?}", ticks);
        }

        #[test]
        fn an_axis_has_some_round_ticks(end in 1e-6..1e12_f64) {
            let found = ticks(end);
            prop_assert!((4..=TICKS + 1).contains(&found.len()), "{:?}", found);
            prop_assert!(found.iter().all(|tick| tick.to_string().len() <= 14), "{:?}", found);
        }
    }
}
