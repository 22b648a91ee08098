use std::cmp::Ordering;

use serde::Serialize;

/// Percentiles of a set of numbers. Each is one of the numbers: the smallest that is not below this
/// share of them (nearest rank).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Percentiles<T> {
    pub(crate) p50: T,
    pub(crate) p90: T,
    pub(crate) p99: T,
    pub(crate) p999: T,
    pub(crate) max: T,
}

impl<T: Copy + PartialOrd> Percentiles<T> {
    /// Those of these numbers, if there are any.
    pub(crate) fn of(numbers: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut sorted: Vec<T> = numbers.into_iter().collect();
        sorted.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        let at = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).copied()
        };
        Some(Self { p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)?, p999: at(0.999)?, max: at(1.0)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_number_at_its_rank() {
        let found = Percentiles::of((1..=1000_u64).rev());
        let expected = Percentiles { p50: 500, p90: 900, p99: 990, p999: 999, max: 1000 };
        assert_eq!(found, Some(expected));
        let one = Percentiles { p50: -0.5, p90: -0.5, p99: -0.5, p999: -0.5, max: -0.5 };
        assert_eq!(Percentiles::of([-0.5]), Some(one));
        assert_eq!(Percentiles::<u64>::of([]), None);
    }
}
