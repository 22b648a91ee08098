use std::{
    pin::{Pin, pin},
    sync::atomic::{AtomicU32, Ordering},
};

use tokio::sync::{Notify, futures::Notified};

/// Counts the calls inside a worker or an instance, and lets no more in than a limit, or none once
/// it is closed.
#[derive(Debug)]
pub(super) struct Gate {
    /// The calls inside and, in the three highest bits, the reason for which it was closed: one
    /// number, so that entering and closing cannot overlap and only one reason can win. Every
    /// thread that runs calls changes it.
    state: AtomicU32,
    limit: u32,
    /// Signalled when it is closed, when the last call has left a closed gate, and by
    /// [`Gate::wake`].
    changed: Notify,
}

/// Why a gate is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// A client asked for it.
    Stop,
    /// No call came.
    Timeout,
    /// The worker shuts down.
    Down,
    /// It crashed.
    Crash,
}

/// Why a call was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The limit is reached, and these calls are inside.
    Full(u32),
    /// It is closed.
    Closed,
}

/// A gate's state at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct State(u32);

const REASON: u32 = 7 << 29;

impl State {
    /// The calls inside.
    pub(super) fn inside(self) -> u32 {
        self.0 & !REASON
    }

    /// Why it is closed, if it is.
    pub(super) fn closed(self) -> Option<Reason> {
        match self.0 >> 29 {
            0 => None,
            1 => Some(Reason::Stop),
            2 => Some(Reason::Timeout),
            3 => Some(Reason::Down),
            _ => Some(Reason::Crash),
        }
    }

    /// Whether it is closed and the last call has left.
    pub(super) fn is_over(self) -> bool {
        self.0 != 0 && self.inside() == 0
    }
}

impl Reason {
    fn bits(self) -> u32 {
        match self {
            Self::Stop => 1 << 29,
            Self::Timeout => 2 << 29,
            Self::Down => 3 << 29,
            Self::Crash => 4 << 29,
        }
    }
}

impl Gate {
    /// An open gate, with this limit to the calls inside if there is one.
    pub(super) fn new(limit: Option<usize>) -> Self {
        // One less than what the count could hold.
        let limit = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(u32::MAX);
        let limit = limit.min(!REASON - 1);
        Self { state: AtomicU32::new(0), limit, changed: Notify::new() }
    }

    /// What it is at this moment.
    pub(super) fn state(&self) -> State {
        State(self.state.load(Ordering::Acquire))
    }

    /// Lets a call in. It has to [`Gate::leave`].
    pub(super) fn enter(&self) -> Result<(), Refusal> {
        let entered = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            (state < self.limit).then_some(state + 1)
        });
        entered.map(drop).map_err(|state| match State(state).closed() {
            Some(_) => Refusal::Closed,
            None => Refusal::Full(state),
        })
    }

    /// A call leaves.
    pub(super) fn leave(&self) {
        if State(self.state.fetch_sub(1, Ordering::AcqRel) - 1).is_over() {
            self.changed.notify_waiters();
        }
    }

    /// Lets no more calls in, for this reason; true if it was open.
    pub(super) fn close(&self, reason: Reason) -> bool {
        let closed = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            State(state).closed().is_none().then_some(state | reason.bits())
        });
        if closed.is_ok() {
            self.changed.notify_waiters();
        }
        closed.is_ok()
    }

    /// Closes an open gate without calls inside; else returns its state.
    pub(super) fn close_if_empty(&self, reason: Reason) -> Result<(), State> {
        self.state
            .compare_exchange(0, reason.bits(), Ordering::AcqRel, Ordering::Acquire)
            .map(|_| self.changed.notify_waiters())
            .map_err(State)
    }

    /// Lets everything that waits in [`Gate::until`] look again.
    pub(super) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until `reached` gives something for the state.
    #[expect(
        clippy::manual_async_fn,
        reason = "each instance waits so, and an async function's future holds the arguments twice"
    )]
    pub(super) fn until<T>(&self, reached: impl Fn(State) -> Option<T>) -> impl Future<Output = T> {
        async move {
            loop {
                // Listens before it looks, so that no signal falls in between.
                let changed = pin!(self.changed.notified());
                let changed = enabled(changed);
                if let Some(reached) = reached(self.state()) {
                    return reached;
                }
                changed.await;
            }
        }
    }
}

/// Makes it listen. By value, so that the future that calls this does not also keep the pointer.
fn enabled<'p, 'n>(mut changed: Pin<&'p mut Notified<'n>>) -> Pin<&'p mut Notified<'n>> {
    changed.as_mut().enable();
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_in_as_many_as_its_limit_and_none_once_closed() {
        let gate = Gate::new(Some(2));
        assert_eq!([gate.enter(), gate.enter()], [Ok(()), Ok(())]);
        assert_eq!(gate.enter(), Err(Refusal::Full(2)));
        gate.leave();
        assert_eq!(gate.enter(), Ok(()));
        assert!(gate.close(Reason::Stop));
        assert!(!gate.close(Reason::Down), "the first reason stays");
        gate.leave();
        assert_eq!(gate.enter(), Err(Refusal::Closed));
        assert_eq!((gate.state().inside(), gate.state().closed()), (1, Some(Reason::Stop)));
        assert!(!gate.state().is_over());
        gate.leave();
        assert!(gate.state().is_over());
        assert_eq!(Gate::new(Some(0)).enter(), Err(Refusal::Full(0)));
    }

    #[test]
    fn only_an_open_and_empty_gate_is_closed_for_being_empty() {
        let gate = Gate::new(None);
        gate.enter().unwrap();
        assert_eq!(gate.close_if_empty(Reason::Timeout).unwrap_err().closed(), None);
        gate.leave();
        gate.close_if_empty(Reason::Timeout).unwrap();
        let state = gate.close_if_empty(Reason::Down).unwrap_err();
        assert_eq!(state.closed(), Some(Reason::Timeout));
    }

    #[tokio::test]
    async fn the_end_is_waited_for_until_the_last_call_has_left() {
        let gate = std::sync::Arc::new(Gate::new(None));
        gate.enter().unwrap();
        let waiting = std::sync::Arc::clone(&gate);
        let over = tokio::spawn(async move {
            waiting.until(|state| state.is_over().then_some(())).await;
        });
        tokio::task::yield_now().await;
        gate.close(Reason::Down);
        tokio::task::yield_now().await;
        assert!(!over.is_finished());
        gate.leave();
        over.await.unwrap();
    }
}
