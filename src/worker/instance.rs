use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    FunctionInfo, InstanceId,
    gate::{Gate, Reason, State},
};
use crate::clock::{Clock, Moment};

/// One simulated container of a function.
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// What it runs.
    pub function: Arc<FunctionInfo>,
    /// When it came to exist.
    pub created: Moment,
    /// When its cold start is over.
    pub ready_at: Moment,
    /// The calls that run on it, and why it ends.
    gate: Gate,
    /// Set when it was announced as ready, by the first of the threads that could.
    announced: OnceLock<()>,
    /// When its last call ended, in nanoseconds; any thread may end a call of it.
    last_work: AtomicU64,
    /// Its place in the list of its function, which changes with the list.
    pub(super) slot: AtomicUsize,
}

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// In its cold start.
    Starting,
    /// Ready, without calls.
    Idle,
    /// Ready, with calls.
    Busy,
    /// Takes no more calls; those inside go on.
    Stopping,
    /// Gone.
    Stopped,
}

impl Instance {
    pub(super) fn new(
        id: InstanceId,
        function: Arc<FunctionInfo>,
        created: Moment,
        cold_start: Duration,
    ) -> Self {
        let ready_at = created + cold_start;
        Self {
            id,
            function,
            created,
            ready_at,
            gate: Gate::new(None),
            announced: OnceLock::new(),
            last_work: AtomicU64::new(ready_at.as_nanos()),
            slot: AtomicUsize::new(usize::MAX),
        }
    }

    /// What it is doing at this moment.
    pub fn state(&self, now: Moment) -> InstanceState {
        let state = self.gate.state();
        match (state.closed(), state.inside()) {
            (Some(_), 0) => InstanceState::Stopped,
            (Some(_), _) => InstanceState::Stopping,
            (None, _) if now < self.ready_at => InstanceState::Starting,
            (None, 0) => InstanceState::Idle,
            (None, _) => InstanceState::Busy,
        }
    }

    /// Whether it is gone.
    pub fn is_stopped(&self) -> bool {
        self.gate.state().is_over()
    }

    /// When its last call ended; before the first call, when it was ready.
    pub fn last_work(&self) -> Moment {
        Moment::from_nanos(self.last_work.load(Ordering::Relaxed))
    }

    /// Lets a call in, unless the instance is closed.
    pub(super) fn enter<'a>(self: &Arc<Self>, clock: &'a Clock) -> Option<InstancePermit<'a>> {
        let entered = self.gate.enter();
        entered.ok().map(|()| InstancePermit { instance: Arc::clone(self), clock, left: None })
    }

    /// Lets no more calls in, for this reason, unless it was closed before.
    pub(super) fn close(&self, reason: Reason) {
        self.gate.close(reason);
    }

    /// Closes it if no call is inside and none has been for that long. Returns `Err` with the time
    /// of the next look when that is not so.
    pub(super) fn close_if_idle(&self, now: Moment, idle: Duration) -> Result<(), Moment> {
        let due = self.last_work() + idle;
        if now < due {
            return Err(due);
        }
        match self.gate.close_if_empty(Reason::Timeout) {
            // Busy: it cannot have been idle for that long any earlier than this.
            Err(state) if state.closed().is_none() => Err(now + idle),
            _ => Ok(()),
        }
    }

    /// Announces once that it is ready; all callers return only after that. True for the one that
    /// announced it.
    pub(super) fn announce(&self, announce: impl FnOnce()) -> bool {
        let mut first = false;
        self.announced.get_or_init(|| {
            announce();
            first = true;
        });
        if first {
            self.gate.wake();
        }
        first
    }

    /// Whether it was announced as ready.
    pub(super) fn is_announced(&self) -> bool {
        self.announced.get().is_some()
    }

    /// Waits until it was announced as ready; false when it was closed before.
    pub(super) fn ready(&self) -> impl Future<Output = bool> + Send {
        self.gate.until(|state| match self.is_announced() {
            true => Some(true),
            false => state.closed().map(|_| false),
        })
    }

    /// Waits until it is closed and the last call has left.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send {
        self.gate.until(|state| state.is_over().then_some(()))
    }

    /// Waits until no more calls are let in, and returns why.
    pub(super) fn closed(&self) -> impl Future<Output = Reason> + Send {
        self.gate.until(State::closed)
    }

    fn leave(&self, now: Moment) {
        self.last_work.fetch_max(now.as_nanos(), Ordering::Relaxed);
        self.gate.leave();
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("id", &self.id)
            .field("function", &self.function.id)
            .field("calls", &self.gate.state().inside())
            .field("closed", &self.gate.state().closed())
            .finish_non_exhaustive()
    }
}

/// A call's place in an instance, given back when it is dropped.
#[derive(Debug)]
pub(super) struct InstancePermit<'a> {
    instance: Arc<Instance>,
    clock: &'a Clock,
    left: Option<Moment>,
}

impl InstancePermit<'_> {
    /// States when the call ended; otherwise that is when this is dropped.
    pub(super) fn ended_at(&mut self, now: Moment) {
        self.left = Some(now);
    }
}

impl std::ops::Deref for InstancePermit<'_> {
    type Target = Arc<Instance>;

    fn deref(&self) -> &Arc<Instance> {
        &self.instance
    }
}

impl Drop for InstancePermit<'_> {
    fn drop(&mut self) {
        self.instance.leave(self.left.unwrap_or_else(|| self.clock.now()));
    }
}
