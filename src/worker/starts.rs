use std::{cmp::Reverse, collections::BinaryHeap};

use parking_lot::Mutex;

use crate::{clock::Moment, scenario::StartPlan};

/// The starts of a worker that are in progress: they slow each other down in some scenarios.
///
/// An instance that ends before it is ready counts until it would have been.
#[derive(Debug, Default)]
pub(super) struct Starts(
    /// When each of them will be ready. Taken by each start.
    Mutex<BinaryHeap<Reverse<Moment>>>,
);

impl Starts {
    /// Begins a start, which is planned when it is known how many others are in progress.
    pub(super) fn begin(&self, now: Moment, plan: impl FnOnce(usize) -> StartPlan) -> StartPlan {
        let mut starts = self.0.lock();
        while starts.peek().is_some_and(|Reverse(ready_at)| *ready_at <= now) {
            starts.pop();
        }
        let plan = plan(starts.len());
        if !plan.cold_start.is_zero() {
            starts.push(Reverse(now + plan.cold_start));
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scenario::Cause;

    #[test]
    fn starts_count_until_they_are_over() {
        let starts = Starts::default();
        let begin = |now: u64, seconds: u64| {
            let mut others = 0;
            starts.begin(Moment::default() + Duration::from_secs(now), |in_progress| {
                others = in_progress;
                let cold_start = Duration::from_secs(seconds);
                StartPlan { cold_start, fails: None, speed: 1.0, reason: Cause::None }
            });
            others
        };
        assert_eq!([begin(0, 5), begin(0, 2), begin(1, 0), begin(1, 9)], [0, 1, 2, 2]);
        assert_eq!([begin(2, 1), begin(5, 1), begin(20, 1)], [2, 1, 0]);
    }
}
