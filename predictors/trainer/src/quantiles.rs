use crate::BATCH;

/// Makes quantiles of a network's last numbers, such that they ascend, and says how wrong they are.
///
/// For each head the network gives as many numbers as there are levels: the median, then the gaps between
/// the quantiles of neighbouring levels, from the lowest up, each before a softplus.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantileHeads {
    levels: Vec<f64>,
    median: usize,
    heads: usize,
}

impl QuantileHeads {
    /// `levels` ascend, and one of them is 0.5; else the one nearest to it is taken for the median.
    #[must_use]
    pub fn new(levels: &[f64], heads: usize) -> Self {
        let distance = |index: &usize| (levels[*index] - 0.5).abs();
        let nearest = |left: &usize, right: &usize| distance(left).total_cmp(&distance(right));
        let median = (0..levels.len()).min_by(nearest).unwrap_or(0);
        Self { levels: levels.to_vec(), median, heads }
    }

    /// How many numbers the network gives.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.levels.len() * self.heads
    }

    /// Where the median is among the levels.
    #[must_use]
    pub fn median(&self) -> usize {
        self.median
    }

    /// The numbers that stand for these quantiles of a head, which ascend.
    #[must_use]
    pub fn numbers(&self, quantiles: &[f64]) -> Vec<f64> {
        // The least gap: that of none would be infinitely far.
        const LEAST: f64 = 1e-4;
        let gaps = quantiles.windows(2).map(|pair| (pair[1] - pair[0]).max(LEAST));
        let before_softplus = |gap: f64| if gap > 30.0 { gap } else { libm::log(libm::expm1(gap)) };
        std::iter::once(quantiles[self.median]).chain(gaps.map(before_softplus)).collect()
    }

    /// The quantiles of all heads, one after the other, from what the network gave.
    #[must_use]
    pub fn quantiles(&self, numbers: &[f64]) -> Vec<f64> {
        let count = self.levels.len();
        let mut quantiles = vec![0.0; numbers.len()];
        for (numbers, quantiles) in numbers.chunks(count).zip(quantiles.chunks_mut(count)) {
            self.head(numbers, quantiles);
        }
        quantiles
    }

    fn head(&self, numbers: &[f64], quantiles: &mut [f64]) {
        quantiles[self.median] = numbers[0];
        for index in self.median + 1..quantiles.len() {
            quantiles[index] = quantiles[index - 1] + softplus(numbers[index]);
        }
        for index in (0..self.median).rev() {
            quantiles[index] = quantiles[index + 1] - softplus(numbers[index + 1]);
        }
    }

    /// How the mean pinball loss of a batch changes with each number that the network gave. Numbers and
    /// slopes have the shape `[outputs, BATCH]`, targets `[heads, BATCH]`; a target that is NaN does not
    /// count.
    pub fn slopes(&self, numbers: &[f64], targets: &[f64], slopes: &mut [f64]) {
        let count = self.levels.len();
        let (mut given, mut quantiles, mut slope) =
            (vec![0.0; count], vec![0.0; count], vec![0.0; count]);
        for head in 0..self.heads {
            for sample in 0..BATCH {
                let target = targets[head * BATCH + sample];
                let place = |index: usize| (head * count + index) * BATCH + sample;
                if target.is_nan() {
                    (0..count).for_each(|index| slopes[place(index)] = 0.0);
                    continue;
                }
                given.iter_mut().enumerate().for_each(|(index, one)| *one = numbers[place(index)]);
                self.head(&given, &mut quantiles);
                for ((slope, quantile), level) in slope.iter_mut().zip(&quantiles).zip(&self.levels)
                {
                    let above = if target < *quantile { 1.0 } else { 0.0 };
                    *slope = (above - level) / (count * BATCH) as f64;
                }
                slopes[place(0)] = slope.iter().sum();
                // A gap moves all quantiles that are farther from the median than it.
                let mut farther = 0.0;
                for index in (self.median + 1..count).rev() {
                    farther += slope[index];
                    slopes[place(index)] = farther * sigmoid(given[index]);
                }
                farther = 0.0;
                for index in 0..self.median {
                    farther += slope[index];
                    slopes[place(index + 1)] = -farther * sigmoid(given[index + 1]);
                }
            }
        }
    }

    /// How quantiles are sums of the softplus of numbers: a matrix `[levels, levels + 1]`, row by row, for
    /// one head. The first two columns are for the median and its opposite, since the softplus of a number
    /// less that of its opposite is the number itself.
    #[must_use]
    pub fn sums(&self) -> Vec<Vec<f64>> {
        let count = self.levels.len();
        let row = |quantile: usize| {
            let gap = |index: usize| {
                // The gap between the levels `index` and `index + 1`.
                if quantile > index && index >= self.median {
                    1.0
                } else if quantile <= index && index < self.median {
                    -1.0
                } else {
                    0.0
                }
            };
            [1.0, -1.0].into_iter().chain((0..count - 1).map(gap)).collect()
        };
        (0..count).map(row).collect()
    }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

#[cfg(test)]
mod tests {
    use hyperfake_predictor::Random;

    use super::*;

    const LEVELS: [f64; 4] = [0.1, 0.5, 0.75, 0.9];

    fn loss(heads: &QuantileHeads, numbers: &[f64], targets: &[f64]) -> f64 {
        let mut sum = 0.0;
        for sample in 0..BATCH {
            let of_sample: Vec<_> =
                (0..heads.outputs()).map(|index| numbers[index * BATCH + sample]).collect();
            for (index, quantile) in heads.quantiles(&of_sample).into_iter().enumerate() {
                let target = targets[index / LEVELS.len() * BATCH + sample];
                if target.is_nan() {
                    continue;
                }
                let (level, error) = (LEVELS[index % LEVELS.len()], target - quantile);
                sum += if error > 0.0 { level * error } else { (level - 1.0) * error };
            }
        }
        sum / (LEVELS.len() * BATCH) as f64
    }

    #[test]
    fn the_slopes_are_those_of_the_loss() {
        let heads = QuantileHeads::new(&LEVELS, 2);
        let mut random = Random::new(1, 0);
        let mut draws = |count: usize| -> Vec<f64> {
            (0..count).map(|_| 4.0 * random.fraction() - 2.0).collect()
        };
        let mut numbers = draws(heads.outputs() * BATCH);
        let mut targets = draws(2 * BATCH);
        targets[7] = f64::NAN;
        let mut slopes = vec![1.0; numbers.len()];
        heads.slopes(&numbers, &targets, &mut slopes);
        for index in (0..numbers.len()).step_by(37).chain([7, BATCH + 7]) {
            let [below, above] = [-1e-6, 2e-6].map(|nudge| {
                numbers[index] += nudge;
                loss(&heads, &numbers, &targets)
            });
            numbers[index] -= 1e-6;
            let expected = (above - below) / 2e-6;
            assert!((slopes[index] - expected).abs() < 1e-8, "{index}: {}", slopes[index]);
        }
    }

    #[test]
    fn quantiles_ascend_and_are_the_sums_of_a_matrix() {
        let heads = QuantileHeads::new(&LEVELS, 1);
        let numbers = [-0.5, 0.25, -1.0, 2.0];
        let quantiles = heads.quantiles(&numbers);
        assert!(quantiles.is_sorted() && quantiles[1] == -0.5, "{quantiles:?}");
        let spread = [numbers[0], -numbers[0], numbers[1], numbers[2], numbers[3]].map(softplus);
        for (row, expected) in heads.sums().iter().zip(&quantiles) {
            let sum: f64 = row.iter().zip(spread).map(|(weight, number)| weight * number).sum();
            assert!((sum - expected).abs() < 1e-12, "{sum}, not {expected}");
        }
        let back = heads.numbers(&quantiles);
        assert!(back.iter().zip(numbers).all(|(left, right)| (left - right).abs() < 1e-9));
    }
}
