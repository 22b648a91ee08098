use std::{fmt, time::Duration};

use hdrhistogram::Histogram;

use super::{Clock, Moment, Throttle};

/// How late sleeps ended: a distribution with a relative error below 1 %.
#[derive(Clone)]
pub struct Lateness(Histogram<u64>);

impl Lateness {
    /// No sleeps.
    #[must_use]
    pub fn empty() -> Self {
        // Two significant figures are between 1 and 5 for `new`, so there is no error to see.
        Self(Histogram::new(2).unwrap_or_else(|_| unreachable!("a constant within its bounds")))
    }

    /// That of all these clocks' sleeps so far.
    #[must_use]
    pub fn of(clocks: &[Clock]) -> Self {
        let mut all = Self::empty();
        clocks.iter().for_each(|clock| all.merge(&clock.lateness()));
        all
    }

    /// Takes in one sleep.
    pub fn record(&mut self, late: Duration) {
        // Not `saturating_record`, which would cut to the range that the histogram has so far.
        let recorded = self.0.record(late.as_nanos() as u64);
        debug_assert!(recorded.is_ok(), "the histogram grows as it needs");
    }

    /// Takes in another clock's sleeps.
    pub fn merge(&mut self, other: &Self) {
        let added = self.0.add(&other.0);
        debug_assert!(added.is_ok(), "both histograms grow as they need");
    }

    /// What came after an earlier look at the same clocks.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut recent = self.clone();
        let subtracted = recent.0.subtract(&earlier.0);
        debug_assert!(subtracted.is_ok(), "an earlier look has seen nothing else");
        recent
    }

    /// How many sleeps have ended.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The lateness that this share of the sleeps (0 to 1) did not exceed.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.mean() as u64)
    }

    /// The latest end.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }

    /// How many sleeps ended later than one bound and not later than the next; beyond the last
    /// bound there may be more.
    #[must_use]
    pub fn buckets(&self, bounds: &[Duration]) -> Vec<u64> {
        let mut counts = vec![0; bounds.len()];
        for step in self.0.iter_recorded() {
            let late = Duration::from_nanos(step.value_iterated_to());
            let bucket = bounds.partition_point(|bound| *bound < late);
            if let Some(count) = counts.get_mut(bucket) {
                *count += step.count_since_last_iteration();
            }
        }
        counts
    }
}

impl fmt::Debug for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lateness")
            .field("count", &self.count())
            .field("median", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max())
            .finish()
    }
}

/// Notices when sleeps end too late for the run times to be believed.
#[derive(Debug)]
pub struct LatenessMonitor {
    clocks: Vec<Clock>,
    /// The most that 99 % of the sleeps may be late.
    threshold: Duration,
    /// What was seen at the last check.
    seen: Lateness,
    warnings: Throttle,
}

/// While sleeps end late, this is how often the monitor reports it.
const REPEATED: Duration = Duration::from_secs(60);

impl LatenessMonitor {
    /// Of these clocks.
    #[must_use]
    pub fn new(clocks: Vec<Clock>, threshold: Duration) -> Self {
        Self { clocks, threshold, seen: Lateness::empty(), warnings: Throttle::every(REPEATED) }
    }

    /// How late the sleeps since the last check ended, if that was too late and was not reported for
    /// a while.
    pub fn check(&mut self, now: Moment) -> Option<Lateness> {
        let all = Lateness::of(&self.clocks);
        let recent = all.since(&self.seen);
        self.seen = all;
        let is_late = recent.quantile(0.99) > self.threshold;
        (is_late && self.warnings.is_due(now)).then_some(recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;

    const MS: Duration = Duration::from_millis(1);

    fn late(milliseconds: &[u32]) -> Lateness {
        let mut lateness = Lateness::empty();
        milliseconds.iter().for_each(|late| lateness.record(MS * *late));
        lateness
    }

    #[test]
    fn what_came_since_is_the_difference_of_two_looks() {
        let mut all = late(&[1, 1, 50]);
        let earlier = all.clone();
        all.merge(&late(&[9, 9]));
        let recent = all.since(&earlier);
        assert_eq!(recent.count(), 2);
        assert!(recent.max() >= MS * 9 && recent.max() < MS * 10, "{recent:?}");
        assert_eq!(all.since(&all).count(), 0);
    }

    #[test]
    fn every_sleep_within_the_last_bound_is_in_one_bucket() {
        let counts = late(&[0, 1, 2, 3, 30, 300]).buckets(&[MS, MS * 10, MS * 100]);
        assert_eq!(counts.iter().sum::<u64>(), 5);
        // A value near a bound may be counted beyond it: the histogram keeps two figures.
        assert!(counts[0] >= 1 && counts[1] >= 2 && counts[2] == 1, "{counts:?}");
    }

    /// Lets a sleep of the clock end this late.
    async fn sleep_late(hand: &ManualClock, late: Duration) {
        let clock = hand.clock();
        let sleep = clock.sleep_until(clock.now() + MS);
        let sleeper = tokio::spawn(sleep);
        tokio::task::yield_now().await;
        hand.advance(MS + late);
        sleeper.await.unwrap();
    }

    #[tokio::test]
    async fn lateness_beyond_the_threshold_is_said_once_a_minute() {
        let hand = ManualClock::new();
        let clock = hand.clock();
        let mut monitor = LatenessMonitor::new(vec![clock.clone()], MS * 2);
        assert!(monitor.check(clock.now()).is_none(), "no sleep has ended");
        sleep_late(&hand, MS).await;
        assert!(monitor.check(clock.now()).is_none(), "that is not too late");
        sleep_late(&hand, MS * 5).await;
        assert_eq!(monitor.check(clock.now()).map(|recent| recent.count()), Some(1));
        sleep_late(&hand, MS * 5).await;
        assert!(monitor.check(clock.now()).is_none(), "it was just said");
        hand.advance(REPEATED);
        assert!(monitor.check(clock.now()).is_none(), "no sleep has ended since");
        sleep_late(&hand, MS * 5).await;
        assert!(monitor.check(clock.now()).is_some(), "a minute has passed");
    }
}
