/// Numbers of calls, sorted; of each it is known when its call came in.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    sorted: Vec<f64>,
    /// For each sorted number, its place among the calls in the order in which they came in.
    places: Vec<u32>,
}

impl Sample {
    /// Of finite numbers, in the order in which their calls came in; of at most 2^32 of them.
    pub(super) fn new(numbers: &[f64]) -> Self {
        let mut pairs: Vec<(f64, u32)> = numbers.iter().copied().zip(0..=u32::MAX).collect();
        pairs.sort_unstable_by(|(a, before), (b, after)| a.total_cmp(b).then(before.cmp(after)));
        let (sorted, places) = pairs.into_iter().unzip();
        Self { sorted, places }
    }

    /// One number, as often as it takes: the distribution that a constant has.
    pub(super) fn constant(number: f64) -> Self {
        Self { sorted: vec![number], places: vec![0] }
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    pub(super) fn sorted(&self) -> &[f64] {
        &self.sorted
    }

    /// For each sorted number, the block of its call: so many blocks have as many consecutive calls.
    pub(super) fn blocks(&self, count: usize) -> Vec<u16> {
        let block = |place: &u32| (*place as usize * count / self.len()) as u16;
        self.places.iter().map(block).collect()
    }

    /// The smallest of the numbers that is not below this share of them (nearest rank); 0 of none.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.len() as f64 - 1e-9).ceil().max(1.0) as usize;
        self.sorted.get(rank.min(self.len()).saturating_sub(1)).copied().unwrap_or(0.0)
    }

    /// 0 of none.
    pub(super) fn mean(&self) -> f64 {
        self.sorted.iter().sum::<f64>() / self.len().max(1) as f64
    }

    /// What distances are divided by: the median; the mean where that is 0; 1 where all are.
    pub(super) fn scale(&self) -> f64 {
        [self.quantile(0.5), self.mean(), 1.0]
            .into_iter()
            .find(|number| *number > 0.0)
            .unwrap_or(1.0)
    }
}

/// The median of numbers in any order; 0 of none.
pub(super) fn median(mut numbers: Vec<f64>) -> f64 {
    let Some(middle) = numbers.len().checked_sub(1) else { return 0.0 };
    *numbers.select_nth_unstable_by(middle / 2, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_sorted_and_knows_when_its_numbers_came() {
        let sample = Sample::new(&[5.0, 1.0, 3.0, 1.0]);
        assert_eq!(sample.sorted(), [1.0, 1.0, 3.0, 5.0]);
        assert_eq!(sample.blocks(4), [1, 3, 2, 0]);
        assert_eq!(sample.blocks(2), [0, 1, 1, 0]);
        assert_eq!((sample.quantile(0.5), sample.quantile(0.51), sample.mean()), (1.0, 3.0, 2.5));
        assert_eq!((sample.quantile(0.0), sample.quantile(1.0)), (1.0, 5.0));
    }

    #[test]
    fn the_median_is_that_of_the_sample() {
        for numbers in [vec![], vec![3.0], vec![4.0, 1.0], vec![5.0, 1.0, 3.0, 1.0, 9.0]] {
            assert_eq!(median(numbers.clone()), Sample::new(&numbers).quantile(0.5));
        }
    }

    #[test]
    fn distances_are_divided_by_something_that_is_not_0() {
        assert_eq!(Sample::new(&[4.0, 8.0]).scale(), 4.0);
        assert_eq!(Sample::new(&[0.0, 0.0, 9.0]).scale(), 3.0);
        assert_eq!(Sample::new(&[0.0, 0.0]).scale(), 1.0);
        assert_eq!(Sample::default().scale(), 1.0);
    }
}
