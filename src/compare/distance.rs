use serde::Serialize;

use super::sample::Sample;

/// How far two distributions are from each other, by three numbers that are 0 for the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Distance {
    /// The Wasserstein distance, which is the area between the two distribution functions, over the
    /// median of the real numbers.
    pub wasserstein: f64,
    /// The Kolmogorov-Smirnov distance: the greatest difference of the two distribution functions.
    pub ks: f64,
    /// The greatest relative error of the percentiles 50, 90 and 99.
    pub worst_quantile: f64,
}

impl Distance {
    /// So many times as far.
    pub(super) fn times(self, factor: f64) -> Self {
        let Self { wasserstein, ks, worst_quantile } = self;
        Self {
            wasserstein: wasserstein * factor,
            ks: (ks * factor).min(1.0),
            worst_quantile: worst_quantile * factor,
        }
    }
}

/// The percentiles whose errors count.
pub(super) const LEVELS: [f64; 3] = [0.5, 0.9, 0.99];

/// A sample in blocks of consecutive calls, each of which counts so many times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weighted<'a> {
    numbers: &'a [f64],
    /// For each number its block; empty if all count once.
    blocks: &'a [u16],
    /// One for each block.
    weights: &'a [f64],
    total: f64,
}

impl<'a> Weighted<'a> {
    /// All of it, once.
    pub(super) fn all(sample: &'a Sample) -> Self {
        let numbers = sample.sorted();
        Self { numbers, blocks: &[], weights: &[], total: numbers.len() as f64 }
    }

    /// With these weights of its [blocks](Sample::blocks).
    pub(super) fn of(sample: &'a Sample, blocks: &'a [u16], weights: &'a [f64]) -> Self {
        let (calls, count) = (sample.len(), weights.len());
        // The first call of a block.
        let first = |block: usize| (block * calls).div_ceil(count);
        let sizes = (0..count).map(|block| first(block + 1) - first(block));
        let total = sizes.zip(weights).map(|(size, weight)| size as f64 * weight).sum();
        Self { numbers: sample.sorted(), blocks, weights, total }
    }

    /// How many calls count.
    pub(super) fn total(&self) -> f64 {
        self.total
    }

    fn weight(&self, index: usize) -> f64 {
        self.blocks.get(index).map_or(1.0, |block| self.weights[usize::from(*block)])
    }
}

/// The distances of the fake numbers from the real ones; `scale` is what times are divided by. Nothing
/// where one of the two has no number that counts.
pub(super) fn distance(real: Weighted<'_>, fake: Weighted<'_>, scale: f64) -> Option<Distance> {
    if real.total <= 0.0 || fake.total <= 0.0 {
        return None;
    }
    let mut sides = [Side::new(real), Side::new(fake)];
    let (mut area, mut greatest, mut before) = (0.0, 0.0_f64, f64::NAN);
    loop {
        let next = sides.iter().filter_map(Side::next).reduce(f64::min);
        let Some(number) = next else { break };
        let difference = (sides[0].share() - sides[1].share()).abs();
        if difference > 0.0 {
            area += difference * (number - before);
        }
        sides.iter_mut().for_each(|side| side.advance(number));
        greatest = greatest.max((sides[0].share() - sides[1].share()).abs());
        before = number;
    }
    let [real, fake] = sides.map(|side| side.quantiles);
    let errors = real.iter().zip(fake).map(|(real, fake)| {
        let by = if *real > 0.0 { *real } else { scale };
        (fake - real).abs() / by
    });
    Some(Distance {
        wasserstein: area / scale,
        ks: greatest,
        worst_quantile: errors.fold(0.0, f64::max),
    })
}

/// One of two samples that are gone through in ascending order.
struct Side<'a> {
    of: Weighted<'a>,
    index: usize,
    /// The weight of all numbers so far.
    weight: f64,
    found: usize,
    quantiles: [f64; LEVELS.len()],
}

impl<'a> Side<'a> {
    fn new(of: Weighted<'a>) -> Self {
        Self { of, index: 0, weight: 0.0, found: 0, quantiles: [0.0; LEVELS.len()] }
    }

    fn next(&self) -> Option<f64> {
        self.of.numbers.get(self.index).copied()
    }

    fn share(&self) -> f64 {
        self.weight / self.of.total
    }

    /// Takes every number up to this one.
    fn advance(&mut self, number: f64) {
        while let Some(next) = self.next()
            && next <= number
        {
            self.weight += self.of.weight(self.index);
            self.index += 1;
        }
        while let Some(level) = LEVELS.get(self.found)
            && self.weight >= level * self.of.total - 1e-9
        {
            self.quantiles[self.found] = number;
            self.found += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn between(real: &[f64], fake: &[f64]) -> Distance {
        let (real, fake) = (Sample::new(real), Sample::new(fake));
        distance(Weighted::all(&real), Weighted::all(&fake), real.scale()).unwrap()
    }

    #[test]
    fn distances_are_those_of_the_text_books() {
        // Half of the numbers, moved by 2, over the median of 1.
        let found = between(&[1.0, 1.0, 2.0, 2.0], &[1.0, 1.0, 4.0, 4.0]);
        assert_eq!(found, Distance { wasserstein: 1.0, ks: 0.5, worst_quantile: 1.0 });
        // Of numbers without one in common.
        let found = between(&[1.0, 2.0], &[11.0]);
        assert_eq!(found, Distance { wasserstein: 9.5, ks: 1.0, worst_quantile: 10.0 });
    }

    #[test]
    fn a_constant_is_as_far_as_the_numbers_deviate_from_it() {
        let real = Sample::new(&[1.0, 2.0, 3.0, 6.0]);
        let mean = Sample::constant(real.mean());
        let found = distance(Weighted::all(&real), Weighted::all(&mean), 1.0).unwrap();
        assert_eq!(found.wasserstein, (2.0 + 1.0 + 0.0 + 3.0) / 4.0);
    }

    #[test]
    fn blocks_that_do_not_count_are_as_good_as_absent() {
        let sample = Sample::new(&[1.0, 5.0, 2.0, 9.0, 4.0]);
        // Blocks of two, two and one call.
        let blocks = sample.blocks(3);
        let some = Weighted::of(&sample, &blocks, &[1.0, 0.0, 2.0]);
        assert_eq!(some.total(), 4.0);
        let same = Sample::new(&[1.0, 5.0, 4.0, 4.0]);
        let found = distance(some, Weighted::all(&same), 1.0).unwrap();
        assert_eq!(found, Distance::default());
        assert_eq!(distance(Weighted::of(&sample, &[0; 5], &[0.0]), some, 1.0), None);
    }

    proptest! {
        #[test]
        fn a_sample_is_at_no_distance_from_itself_in_any_order(
            mut numbers in prop::collection::vec(0.0..1e12_f64, 1..200), by in 0..200_usize,
        ) {
            let real = numbers.clone();
            let by = by % numbers.len();
            numbers.rotate_left(by);
            prop_assert_eq!(between(&real, &numbers), Distance::default());
        }

        #[test]
        fn moving_all_numbers_moves_them_by_that_distance(
            numbers in prop::collection::vec(1.0..1e3_f64, 1..200), by in 0.0..1e3_f64,
        ) {
            let moved: Vec<_> = numbers.iter().map(|number| number + by).collect();
            let found = between(&numbers, &moved).wasserstein * Sample::new(&numbers).scale();
            prop_assert!((found - by).abs() < 1e-9 * (1.0 + by), "{found}, not {by}");
        }
    }
}
