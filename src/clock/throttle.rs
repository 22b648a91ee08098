use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::Moment;

/// Lets something be reported at most once in an interval, from any thread.
#[derive(Debug)]
pub struct Throttle {
    interval: Duration,
    /// The moment from which on the next report is due, which threads take from each other.
    due: AtomicU64,
}

impl Throttle {
    /// Once in this interval; the first report is due at once.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        Self { interval, due: AtomicU64::new(0) }
    }

    /// Whether a report is due now. It is then made by the caller, and the next one is due an
    /// interval later.
    pub fn is_due(&self, now: Moment) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        let next = (now + self.interval).as_nanos();
        now.as_nanos() >= due
            && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_due_at_once_and_then_once_in_an_interval() {
        let throttle = Throttle::every(Duration::from_nanos(10));
        let due: Vec<_> = (0..25).filter(|now| throttle.is_due(Moment::from_nanos(*now))).collect();
        assert_eq!(due, [0, 10, 20]);
        assert!(throttle.is_due(Moment::from_nanos(1000)));
        assert!(!throttle.is_due(Moment::from_nanos(1009)));
    }
}
