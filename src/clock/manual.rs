//! Time that moves only when it is told to, for tests.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{Clock, Timers};

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
    now: Arc<Mutex<Instant>>,
    clock: Clock,
}

impl ManualClock {
    /// A clock that stands still.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "an instant can only be made from the real one")]
    pub fn new() -> Self {
        let now = Arc::new(Mutex::new(Instant::now()));
        let read = Arc::clone(&now);
        let clock = Clock::new(move || *read.lock(), Arc::new(Timers::new(|_| {})));
        Self { now, clock }
    }

    /// The clock that is moved.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Moves time on, and wakes what is due by then.
    pub fn advance(&self, by: Duration) {
        let now = {
            let mut now = self.now.lock();
            *now += by;
            *now
        };
        self.clock.0.timers.fire(now);
    }

    /// The earliest deadline that something sleeps for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.clock.0.timers.first_deadline()
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}
