use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Clock, Moment};

/// An answer that is made anew at most as often as it is worth: making it takes at most a tenth of the
/// time, however often it is asked for, unless that would let it be older than [`LONGEST`].
#[derive(Debug)]
pub(super) struct Cache<T>(Mutex<Option<(Moment, T)>>);

/// An answer is kept for so many times as long as it took to make.
const KEPT: u32 = 10;
/// It is never kept for longer than this.
const LONGEST: Duration = Duration::from_secs(10);

impl<T: Clone> Cache<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The answer that was kept, or a new one.
    pub(super) fn get(&self, clock: &Clock, make: impl FnOnce() -> T) -> T {
        let begin = clock.now();
        let mut kept = self.0.lock();
        if let Some((until, answer)) = &*kept
            && begin < *until
        {
            return answer.clone();
        }
        let answer = make();
        let end = clock.now();
        *kept = Some((end + self::kept(end - begin), answer.clone()));
        answer
    }
}

/// How long an answer is kept that took so long to make.
pub(super) fn kept(took: Duration) -> Duration {
    (KEPT * took).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;

    #[test]
    fn an_answer_that_took_long_is_kept_for_ten_times_as_long() {
        let hand = ManualClock::new();
        let (clock, cache) = (hand.clock(), Cache::new());
        let make = |number, time: Duration| {
            let hand = &hand;
            move || {
                hand.advance(time);
                number
            }
        };
        let ms = Duration::from_millis(1);
        assert_eq!(cache.get(&clock, make(1, ms)), 1);
        hand.advance(9 * ms);
        assert_eq!(cache.get(&clock, make(2, ms)), 1);
        hand.advance(ms);
        assert_eq!(cache.get(&clock, make(3, 500 * ms)), 3);
        hand.advance(4999 * ms);
        assert_eq!(cache.get(&clock, make(4, ms)), 3);
        hand.advance(ms);
        assert_eq!(cache.get(&clock, make(5, 5000 * ms)), 5);
        hand.advance(LONGEST);
        assert_eq!(cache.get(&clock, make(6, ms)), 6);
    }
}
