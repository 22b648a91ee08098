use std::time::Duration;

/// The upper bounds of every histogram of times, in seconds: the 14 of OpenTelemetry's and Knative's
/// conventions, so that their boards find each `le`, and further ones for calls that are shorter and
/// longer than those of a web service.
pub(crate) const BOUNDS: [f64; 21] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    30.0, 60.0, 120.0, 300.0, 900.0,
];

/// The same, in nanoseconds.
const NANOSECONDS: [u64; BOUNDS.len()] = {
    let mut bounds = [0; BOUNDS.len()];
    let mut index = 0;
    while index < bounds.len() {
        // Whole microseconds, all of them.
        bounds[index] = (BOUNDS[index] * 1e6 + 0.5) as u64 * 1000;
        index += 1;
    }
    bounds
};

/// Times, counted by [`BOUNDS`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Buckets {
    /// Those above one bound and not above the next; the last one is above all.
    counts: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Buckets {
    /// Takes in one time.
    pub(crate) fn add(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = NANOSECONDS.partition_point(|bound| *bound < nanoseconds);
        self.counts[bucket] += 1;
        self.sum += nanoseconds as f64 / 1e9;
    }

    /// Takes in all of the other.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum += other.sum;
    }

    /// How many times were taken in.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum, in seconds.
    pub(crate) fn sum(&self) -> f64 {
        self.sum
    }

    /// Each bound in seconds, and how many times lie between it and the one before; the last bound is
    /// infinite.
    pub(crate) fn by_bound(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.into_iter().chain([f64::INFINITY]).zip(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_at_a_bound_is_within_it_and_one_above_all_is_in_the_last() {
        let mut buckets = Buckets::default();
        for nanoseconds in [0, 1_000_000, 1_000_001, 75_000_000, 900_000_000_000, 900_000_000_001] {
            buckets.add(Duration::from_nanos(nanoseconds));
        }
        let counted: Vec<_> = buckets.by_bound().filter(|(_, count)| *count > 0).collect();
        let infinity = f64::INFINITY;
        assert_eq!(counted, [(0.001, 2), (0.0025, 1), (0.075, 1), (900.0, 1), (infinity, 1)]);
        assert_eq!(buckets.count(), 6);
        let twice = {
            let mut twice = buckets;
            twice.merge(&buckets);
            twice
        };
        assert_eq!((twice.count(), twice.sum()), (12, 2.0 * buckets.sum()));
    }

    #[test]
    fn the_bounds_of_the_conventions_are_among_ours() {
        let conventions =
            [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
        assert!(conventions.iter().all(|bound| BOUNDS.contains(bound)));
        assert!(BOUNDS.is_sorted());
    }
}
