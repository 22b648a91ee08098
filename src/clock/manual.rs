//! Time that moves only when it is told to, for tests.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Clock, Moment, Timers, date};

/// Moves a [`Clock`] by hand.
///
/// ```
/// use std::time::Duration;
/// use hyperfake_worker::clock::manual::ManualClock;
///
/// let hand = ManualClock::new();
/// let start = hand.clock().now();
/// hand.advance(Duration::from_secs(3600));
/// assert_eq!(hand.clock().now() - start, Duration::from_secs(3600));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    hands: Arc<Mutex<Hands>>,
    clock: Clock,
}

#[derive(Debug)]
struct Hands {
    now: Moment,
    /// The date, as the time since the Unix epoch. It goes with the time, and can be set.
    date: Duration,
}

impl ManualClock {
    /// A clock that stands still, at the system's date.
    #[must_use]
    pub fn new() -> Self {
        let hands = Hands { now: Moment::default(), date: date::system() };
        let hands = Arc::new(Mutex::new(hands));
        let (time, date) = (Arc::clone(&hands), Arc::clone(&hands));
        let timers = Arc::new(Timers::new(|_| {}));
        let clock = Clock::new(move || time.lock().now, move || date.lock().date, timers);
        Self { hands, clock }
    }

    /// The clock that is moved.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Moves time on, and wakes what is due by then.
    pub fn advance(&self, by: Duration) {
        let now = {
            let mut hands = self.hands.lock();
            hands.now += by;
            hands.date += by;
            hands.now
        };
        self.clock.0.timers.fire(now);
    }

    /// Sets the date, given as the time since the Unix epoch, as an administrator does: time does
    /// not move.
    pub fn set_date(&self, since_epoch: Duration) {
        self.hands.lock().date = since_epoch;
    }

    /// The earliest deadline that something sleeps for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.clock.0.timers.first_deadline()
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}
