use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::Moment;

/// The system's date at the moments of a clock.
///
/// Moments are those of a monotonic clock, whose distance to the system's date is fixed until
/// the date is set or the machine was suspended. The distance is kept, so that a conversion
/// is one addition, and compared with the system's at most once in [`COMPARED`], by a conversion
/// of a later moment. Everything is counted in nanoseconds, which last until the year 2262.
pub(super) struct Date {
    /// The system's date, as the time since the Unix epoch.
    read: Box<dyn Fn() -> Duration + Send + Sync>,
    /// The date at the clock's origin. Threads share it because a clock may be used by several; it is one
    /// number, so that none of them sees half of a change.
    at_origin: AtomicI64,
    /// A moment from which on the date is compared again.
    due: AtomicI64,
}

/// How often the date is compared with the system's.
const COMPARED: Duration = Duration::from_secs(1);
/// A smaller difference is the system's own inexactness: the date was not set.
const TOLERANCE: i64 = 10_000;

impl Date {
    /// Of a clock that now shows what `now` returns.
    pub(super) fn new(
        read: impl Fn() -> Duration + Send + Sync + 'static,
        now: impl Fn() -> Moment,
    ) -> Self {
        let (at_origin, due) = (AtomicI64::new(0), AtomicI64::new(0));
        let date = Self { read: Box::new(read), at_origin, due };
        date.compare(now);
        date
    }

    /// The date at a moment, as the time since the Unix epoch, of a clock that now shows what `now`
    /// returns.
    pub(super) fn at(&self, moment: Moment, now: impl Fn() -> Moment) -> Duration {
        let moment = since_origin(moment);
        if moment >= self.due.load(Ordering::Relaxed) {
            self.compare(now);
        }
        let date = self.at_origin.load(Ordering::Relaxed).saturating_add(moment);
        Duration::from_nanos(date.try_into().unwrap_or(0))
    }

    /// Follows the system's date if it is no longer the one that is known.
    fn compare(&self, now: impl Fn() -> Moment) {
        let before = since_origin(now());
        let date = nanoseconds((self.read)());
        let after = since_origin(now());
        // The thread may have slept between any two of these readings, so all that they say is
        // that the date at the origin lies between these two.
        let (least, most) = (date.saturating_sub(after), date.saturating_sub(before));
        let known = self.at_origin.load(Ordering::Relaxed);
        if known < least.saturating_sub(TOLERANCE) || known > most.saturating_add(TOLERANCE) {
            self.at_origin.store(least.midpoint(most), Ordering::Relaxed);
        }
        self.due.store(after.saturating_add(nanoseconds(COMPARED)), Ordering::Relaxed);
    }
}

fn since_origin(moment: Moment) -> i64 {
    moment.as_nanos().try_into().unwrap_or(i64::MAX)
}

fn nanoseconds(duration: Duration) -> i64 {
    duration.as_nanos().try_into().unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this module is the one that reads the time")]
pub(super) fn system() -> Duration {
    // A date before 1970 is a machine without a date.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);
    /// 2026-01-01 00:00 UTC: 20,454 days of 86,400 s.
    const NEW_YEAR: Duration = Duration::from_secs(1_767_225_600);

    #[test]
    fn the_date_follows_within_a_second_when_it_is_set() {
        let hand = ManualClock::new();
        let clock = hand.clock();
        hand.set_date(NEW_YEAR);
        hand.advance(SECOND);
        assert_eq!(clock.since_epoch(clock.now()), NEW_YEAR + SECOND);
        for set in [NEW_YEAR + HOUR, NEW_YEAR - HOUR, Duration::ZERO, NEW_YEAR] {
            hand.set_date(set);
            hand.advance(SECOND);
            let now = clock.now();
            assert_eq!(clock.since_epoch(now), set + SECOND);
            // Moments keep their distances, also to those before the date was set.
            assert_eq!(clock.since_epoch(now + HOUR), set + SECOND + HOUR);
            let before = Duration::from_millis(10);
            assert_eq!(clock.since_epoch(now - before), set + SECOND - before);
        }
    }

    #[test]
    fn a_date_before_1970_is_that_of_1970() {
        let hand = ManualClock::new();
        let clock = hand.clock();
        let began = clock.now();
        hand.advance(HOUR);
        hand.set_date(Duration::ZERO);
        hand.advance(SECOND);
        assert_eq!(clock.since_epoch(clock.now()), SECOND);
        assert_eq!(clock.since_epoch(began), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_sleep_ends_at_its_deadline_whatever_the_date_is_set_to() {
        let hand = ManualClock::new();
        let clock = hand.clock();
        let deadline = clock.now() + SECOND;
        for date in [Duration::ZERO, NEW_YEAR + HOUR] {
            hand.set_date(date);
            assert_eq!(clock.now() + SECOND, deadline, "the time has noticed");
        }
        let sleep = tokio::spawn(clock.sleep_until(deadline));
        tokio::task::yield_now().await;
        hand.set_date(NEW_YEAR + 2 * HOUR);
        hand.advance(SECOND - Duration::from_nanos(1));
        tokio::task::yield_now().await;
        assert!(!sleep.is_finished());
        hand.advance(Duration::from_nanos(1));
        sleep.await.unwrap();
        assert_eq!(clock.lateness().max(), Duration::ZERO);
    }

    /// A clock whose every reading takes the thread this long, and a date that goes with it.
    fn slow(reading: Duration) -> (Date, impl Fn() -> Moment) {
        let hand = ManualClock::new();
        let began = hand.clock().now();
        let now = move || {
            hand.advance(reading);
            hand.clock().now()
        };
        let read = now.clone();
        (Date::new(move || NEW_YEAR + (read() - began), &now), now)
    }

    #[test]
    fn a_thread_that_was_kept_from_reading_does_not_move_the_date() {
        let (date, now) = slow(Duration::from_millis(70));
        let moment = now();
        let first = date.at(moment, &now);
        for _ in 0..100 {
            assert_eq!(date.at(moment, &now), first, "the date moved");
            date.at(now(), &now);
        }
    }

    #[test]
    fn the_date_of_the_system_is_the_one_that_is_shown() {
        let clock = crate::clock::precise::start_with_thread();
        let before = system();
        let shown = clock.since_epoch(clock.now());
        let after = system();
        let tolerance = Duration::from_millis(1);
        assert!(before - tolerance <= shown && shown <= after + tolerance);
    }
}
