//! What distances are of samples that differ by chance only, and how exactly a distance is known.

use hyperfake_predictor::Random;

use super::{
    distance::{Distance, Weighted, distance},
    sample::Sample,
};

/// In how many blocks of consecutive calls the real ones are cut: calls that follow each other resemble each
/// other, so that the blocks are long.
const BLOCKS: usize = 8;
/// In how many ways these can be two halves.
const WAYS: usize = 35;

/// How many numbers halves may visit: of long runs, not all ways to choose them are tried.
const VISITS_OF_HALVES: usize = 20_000_000;

/// How many times calls are drawn anew, and how many numbers that may visit.
const RESAMPLES: usize = 200;
const FEWEST: usize = 40;
const VISITS: usize = 50_000_000;

/// What the distances between as many real calls as there are, and as many others of the same
/// distribution as `others`, are on average.
///
/// The real calls are cut into blocks, and compared in halves, for all ways in which half of the blocks can
/// be chosen (some, of long runs): the first half of the run against the second one is among them, and every second block
/// against the others. Alternating blocks alone would cancel what changes slowly, which two runs do not.
///
/// Halves are smaller than what they are halves of, and distances that are chance alone shrink with the
/// square root of `1/n + 1/m`: they are scaled from the sizes of the halves to those of the comparison.
/// Without that, the chance in a comparison of whole records would count 1.4 times as much as it is, and a
/// fake that is wrong by as much would pass.
pub(super) fn by_chance(real: &Sample, others: usize, scale: f64) -> Distance {
    let sizes = 1.0 / real.len() as f64 + 1.0 / others as f64;
    let mut sum = Distance::default();
    let mut count = 0.0_f64;
    let blocks = real.blocks(BLOCKS);
    // The last block is always in the second half: the halves have no order.
    let halves = (0..1_u32 << (BLOCKS - 1)).filter(|half| half.count_ones() as usize == BLOCKS / 2);
    let step = (WAYS * 2 * real.len() / VISITS_OF_HALVES).clamp(1, 7);
    for half in halves.filter(|_| real.len() >= BLOCKS).step_by(step) {
        let is_first: [bool; BLOCKS] = std::array::from_fn(|block| half & (1 << block) != 0);
        let weights = |of: bool| is_first.map(|first| f64::from(u8::from(first == of)));
        let (first, second) = (weights(true), weights(false));
        let first = Weighted::of(real, &blocks, &first);
        let second = Weighted::of(real, &blocks, &second);
        let factor = (sizes / (1.0 / first.total() + 1.0 / second.total())).sqrt();
        if let Some(found) = distance(first, second, scale).map(|found| found.times(factor)) {
            sum.wasserstein += found.wasserstein;
            sum.ks += found.ks;
            sum.worst_quantile += found.worst_quantile;
            count += 1.0;
        }
    }
    let count = count.max(1.0);
    Distance {
        wasserstein: sum.wasserstein / count,
        ks: sum.ks / count,
        worst_quantile: sum.worst_quantile / count,
    }
}

/// How far a second run of the real is from the real one, or would be with as many calls as `others`: that
/// of a short run is mostly chance, and a fake of more calls that is wrong by as much would pass.
///
/// A run that is longer than the others is not scaled: what differs between two days would grow, too.
pub(super) fn between_runs(
    real: &Sample,
    repeat: &Sample,
    others: usize,
    scale: f64,
) -> Option<Distance> {
    let sizes = |others: usize| 1.0 / real.len() as f64 + 1.0 / others as f64;
    let factor = (sizes(others) / sizes(repeat.len())).sqrt().min(1.0);
    let found = distance(Weighted::all(real), Weighted::all(repeat), scale);
    found.map(|found| found.times(factor))
}

/// The standard deviations of the distances: blocks of consecutive calls of both are drawn with
/// replacement, many times (a block bootstrap).
pub(super) fn deviations(real: &Sample, fake: &Sample, scale: f64, seed: u64) -> Distance {
    let visits = (real.len() + fake.len()).max(1);
    let resamples = (VISITS / visits).clamp(FEWEST, RESAMPLES);
    let mut random = Random::new(seed, 0);
    let count = |sample: &Sample| ((sample.len() as f64).sqrt() as usize).clamp(1, 200);
    let counts = [count(real), count(fake)];
    let blocks = [real.blocks(counts[0]), fake.blocks(counts[1])];
    let mut draw = |count: usize| {
        let mut weights = vec![0.0; count];
        (0..count).for_each(|_| weights[random.below(count)] += 1.0);
        weights
    };
    let mut moments = [Moments::default(); 3];
    for _ in 0..resamples {
        let weights = counts.map(&mut draw);
        let real = Weighted::of(real, &blocks[0], &weights[0]);
        let fake = Weighted::of(fake, &blocks[1], &weights[1]);
        if let Some(found) = distance(real, fake, scale) {
            let numbers = [found.wasserstein, found.ks, found.worst_quantile];
            moments.iter_mut().zip(numbers).for_each(|(moments, number)| moments.add(number));
        }
    }
    let [wasserstein, ks, worst_quantile] = moments.map(|moments| moments.deviation());
    Distance { wasserstein, ks, worst_quantile }
}

/// Count, mean and sum of squares of numbers that come one by one (Welford's algorithm).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, number: f64) {
        self.count += 1.0;
        let difference = number - self.mean;
        self.mean += difference / self.count;
        self.squares += difference * (number - self.mean);
    }

    fn deviation(&self) -> f64 {
        (self.squares / (self.count - 1.0).max(1.0)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use hyperfake_predictor::normal;

    use super::*;

    fn drawn(random: &mut Random, count: usize) -> Sample {
        let number = |_| (0.5 * normal::quantile(random.fraction().max(1e-12))).exp();
        Sample::new(&(0..count).map(number).collect::<Vec<_>>())
    }

    /// Twice as many others shrink the chance, as they do between samples that were drawn apart.
    #[test]
    fn what_halves_of_a_sample_say_of_chance_is_what_two_samples_have() {
        let mut random = Random::new(3, 0);
        for (count, others) in [(400, 400), (400, 1600), (1000, 200)] {
            let (mut expected, mut found) = (Distance::default(), Distance::default());
            const REPEATS: f64 = 100.0;
            for _ in 0..REPEATS as usize {
                let (first, second) = (drawn(&mut random, count), drawn(&mut random, others));
                let apart = distance(Weighted::all(&first), Weighted::all(&second), 1.0).unwrap();
                let halves = by_chance(&first, others, 1.0);
                for (sum, more) in [(&mut expected, apart), (&mut found, halves)] {
                    sum.wasserstein += more.wasserstein / REPEATS;
                    sum.ks += more.ks / REPEATS;
                    sum.worst_quantile += more.worst_quantile / REPEATS;
                }
            }
            for (found, expected) in [
                (found.wasserstein, expected.wasserstein),
                (found.ks, expected.ks),
                (found.worst_quantile, expected.worst_quantile),
            ] {
                assert!(
                    (found / expected - 1.0).abs() < 0.2,
                    "{count}, {others}: {found}, {expected}"
                );
            }
        }
    }

    /// What 1600 calls of the same distribution differ by is measured with 1600 of them.
    #[test]
    fn a_short_second_run_says_what_a_long_one_says() {
        let mut random = Random::new(5, 0);
        let mut sums = [Distance::default(); 2];
        for _ in 0..100 {
            let [real, repeat, others] = [400, 100, 1600].map(|count| drawn(&mut random, count));
            let apart = distance(Weighted::all(&real), Weighted::all(&others), 1.0).unwrap();
            let found = between_runs(&real, &repeat, others.len(), 1.0).unwrap();
            for (sum, more) in sums.iter_mut().zip([found, apart]) {
                sum.wasserstein += more.wasserstein;
                sum.ks += more.ks;
            }
        }
        let [found, expected] = sums;
        for share in [found.wasserstein / expected.wasserstein, found.ks / expected.ks] {
            assert!((share - 1.0).abs() < 0.2, "{found:?}, not {expected:?}");
        }
        // A longer one is taken as it is: moved by 2, over a scale of 2.
        let [real, repeat] = [[1.0; 4].as_slice(), &[3.0; 40]].map(Sample::new);
        assert_eq!(between_runs(&real, &repeat, 4, 2.0).unwrap().wasserstein, 1.0);
        // From 1/4 + 1/1 to 1/4 + 1/4.
        let short = Sample::new(&[3.0]);
        let found = between_runs(&real, &short, 4, 2.0).unwrap().wasserstein;
        assert!((found - (0.5_f64 / 1.25).sqrt()).abs() < 1e-12, "{found}");
    }

    #[test]
    fn a_deviation_is_what_repeating_shows() {
        let mut random = Random::new(4, 0);
        let mut expected = Moments::default();
        let moved = |sample: &Sample| {
            Sample::new(&sample.sorted().iter().map(|number| number * 1.3).collect::<Vec<_>>())
        };
        for _ in 0..100 {
            let (real, fake) = (drawn(&mut random, 500), moved(&drawn(&mut random, 500)));
            let found = distance(Weighted::all(&real), Weighted::all(&fake), 1.0).unwrap();
            expected.add(found.ks);
        }
        let (real, fake) = (drawn(&mut random, 500), drawn(&mut random, 500));
        // Sorting took the order in time away, which here says nothing.
        let mut shuffled = fake.sorted().to_vec();
        for index in (1..shuffled.len()).rev() {
            shuffled.swap(index, random.below(index + 1));
        }
        let fake = Sample::new(&shuffled.iter().map(|number| number * 1.3).collect::<Vec<_>>());
        let found = deviations(&real, &fake, 1.0, 1).ks;
        let expected = expected.deviation();
        assert!((0.6..1.6).contains(&(found / expected)), "{found}, not {expected}");
    }

    #[test]
    fn few_numbers_and_none_are_no_error() {
        let one = Sample::constant(1.0);
        assert_eq!(by_chance(&one, 1, 1.0), Distance::default());
        assert_eq!(deviations(&one, &Sample::default(), 1.0, 1), Distance::default());
    }
}
