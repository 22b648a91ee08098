use std::{collections::BTreeMap, num::NonZeroU64, task::Waker, time::Duration};

use parking_lot::Mutex;

use super::{Lateness, Moment};

/// A sleep's place in the queue. The number tells apart sleeps that end at the same moment.
pub(super) type Key = (Moment, NonZeroU64);

/// The sleeps of one clock, ordered by deadline, and the driver that ends them.
///
/// The lock is the clock's own: with a clock for each thread, no other thread takes it.
pub(super) struct Timers {
    state: Mutex<State>,
    /// Tells the driver that the first deadline is now this one.
    arm: Box<dyn Fn(Moment) + Send + Sync>,
}

struct State {
    sleeps: BTreeMap<Key, Waker>,
    last_number: NonZeroU64,
    lateness: Lateness,
}

impl Timers {
    pub(super) fn new(arm: impl Fn(Moment) + Send + Sync + 'static) -> Self {
        let (sleeps, last_number) = (BTreeMap::new(), NonZeroU64::MIN);
        let state = State { sleeps, last_number, lateness: Lateness::empty() };
        Self { state: Mutex::new(state), arm: Box::new(arm) }
    }

    /// Adds a sleep, to be woken at its deadline; returns its number.
    pub(super) fn add(&self, deadline: Moment, waker: &Waker) -> NonZeroU64 {
        let mut state = self.state.lock();
        // At a billion sleeps a second it lasts for 584 years.
        state.last_number = state.last_number.saturating_add(1);
        let key = (deadline, state.last_number);
        state.sleeps.insert(key, waker.clone());
        // Armed under the lock, so that two threads cannot arm in the wrong order.
        if state.sleeps.first_key_value().is_some_and(|(first, _)| *first == key) {
            (self.arm)(deadline);
        }
        key.1
    }

    /// Replaces the waker of a sleep that is polled again before its time.
    pub(super) fn renew(&self, key: Key, waker: &Waker) {
        let mut state = self.state.lock();
        match state.sleeps.get_mut(&key) {
            Some(old) => old.clone_from(waker),
            // Woken a moment ago by a driver whose reading of the time was later.
            None => {
                state.sleeps.insert(key, waker.clone());
                (self.arm)(key.0);
            }
        }
    }

    pub(super) fn remove(&self, key: Key) {
        self.state.lock().sleeps.remove(&key);
    }

    /// Takes note of a sleep that ended this late.
    pub(super) fn end(&self, key: Key, late: Duration) {
        let mut state = self.state.lock();
        state.sleeps.remove(&key);
        state.lateness.record(late);
    }

    /// Wakes every sleep that is due, and arms the driver for the next one.
    pub(super) fn fire(&self, now: Moment) {
        let due = {
            let mut state = self.state.lock();
            let later = state.sleeps.split_off(&(now, NonZeroU64::MAX));
            let due = std::mem::replace(&mut state.sleeps, later);
            if let Some(((deadline, _), _)) = state.sleeps.first_key_value() {
                (self.arm)(*deadline);
            }
            due
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }

    /// Takes out the sleep that ends first, for a driver of its own kind of time.
    pub(super) fn take_first(&self) -> Option<(Moment, Waker)> {
        let ((deadline, _), waker) = self.state.lock().sleeps.pop_first()?;
        Some((deadline, waker))
    }

    /// The same, unless it ends behind this moment.
    pub(super) fn take_first_before(&self, until: Moment) -> Option<(Moment, Waker)> {
        let mut state = self.state.lock();
        let first = state.sleeps.first_entry().filter(|first| first.key().0 <= until)?;
        let ((deadline, _), waker) = first.remove_entry();
        Some((deadline, waker))
    }

    pub(super) fn first_deadline(&self) -> Option<Moment> {
        self.state.lock().sleeps.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    pub(super) fn lateness(&self) -> Lateness {
        self.state.lock().lateness.clone()
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().sleeps.len()
    }
}
