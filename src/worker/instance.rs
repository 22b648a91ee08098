use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{EventKind, Function, InstanceId};
use crate::clock::Clock;

/// One simulated container of a function.
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// What it runs.
    pub function: Arc<Function>,
    /// When it came to exist.
    pub created: Instant,
    /// When its cold start is over.
    pub ready_at: Instant,
    /// Calls inside, and the [`CLOSED`] bit: one number, so that closing and entering cannot
    /// overlap.
    calls: AtomicU32,
    /// Whether its RUNNING event was sent.
    announced: AtomicBool,
    /// Who ends it, if not idleness. Set before it is closed.
    ended_by: OnceLock<EventKind>,
    /// When its last call ended, in nanoseconds after `created`.
    last_work: AtomicU64,
    /// Its place in the function's rotation.
    pub(super) slot: AtomicUsize,
    /// Signalled when it is closed and when the last call has left it.
    changed: Notify,
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

/// No call may enter any more.
const CLOSED: u32 = 1 << 31;

impl Instance {
    pub(super) fn new(
        id: InstanceId,
        function: Arc<Function>,
        created: Instant,
        cold_start: Duration,
    ) -> Self {
        Self {
            id,
            function,
            created,
            ready_at: created + cold_start,
            calls: AtomicU32::new(0),
            announced: AtomicBool::new(false),
            ended_by: OnceLock::new(),
            last_work: AtomicU64::new(cold_start.as_nanos() as u64),
            slot: AtomicUsize::new(usize::MAX),
            changed: Notify::new(),
        }
    }

    /// What it is doing at this moment.
    pub fn state(&self, now: Instant) -> InstanceState {
        match self.calls.load(Ordering::Acquire) {
            CLOSED => InstanceState::Stopped,
            calls if calls & CLOSED != 0 => InstanceState::Stopping,
            _ if now < self.ready_at => InstanceState::Starting,
            0 => InstanceState::Idle,
            _ => InstanceState::Busy,
        }
    }

    /// Whether it is gone.
    pub fn is_stopped(&self) -> bool {
        self.calls.load(Ordering::Acquire) == CLOSED
    }

    /// When its last call ended; before the first call, when it was ready.
    pub fn last_work(&self) -> Instant {
        self.created + Duration::from_nanos(self.last_work.load(Ordering::Relaxed))
    }

    /// Lets a call in, unless the instance is closed.
    pub(super) fn enter(self: &Arc<Self>, clock: &Clock) -> Option<Visit> {
        self.calls
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |calls| {
                (calls & CLOSED == 0).then_some(calls + 1)
            })
            .ok()
            .map(|_| Visit { instance: Arc::clone(self), clock: clock.clone() })
    }

    /// Lets no more calls in, for this reason; true for whoever closed it.
    pub(super) fn close(&self, reason: EventKind) -> bool {
        let _first_reason_counts = self.ended_by.set(reason);
        let closed = self.calls.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED == 0;
        if closed {
            self.changed.notify_waiters();
        }
        closed
    }

    /// Closes it if no call is inside and none has been since that long ago. Returns `Err` with
    /// the time of the next look when that is not so.
    pub(super) fn close_if_idle(&self, now: Instant, idle: Duration) -> Result<bool, Instant> {
        let due = self.last_work() + idle;
        if now < due {
            return Err(due);
        }
        match self.calls.compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                self.changed.notify_waiters();
                Ok(true)
            }
            Err(calls) if calls & CLOSED != 0 => Ok(false),
            // Busy: it cannot have been idle for that long any earlier than this.
            Err(_) => Err(now + idle),
        }
    }

    /// Why it was closed, if somebody closed it.
    pub(super) fn ended_by(&self) -> Option<EventKind> {
        self.ended_by.get().copied()
    }

    /// True for the first who asks: the one who sends the RUNNING event.
    pub(super) fn announce(&self) -> bool {
        !self.announced.load(Ordering::Acquire) && !self.announced.swap(true, Ordering::AcqRel)
    }

    /// Waits until it is closed and the last call has left.
    pub(super) async fn stopped(&self) {
        self.wait_for(|calls| calls == CLOSED).await;
    }

    /// Waits until no more calls are let in.
    pub(super) async fn closed(&self) {
        self.wait_for(|calls| calls & CLOSED != 0).await;
    }

    async fn wait_for(&self, reached: impl Fn(u32) -> bool) {
        loop {
            // Listens before it looks, so that no signal falls in between.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if reached(self.calls.load(Ordering::Acquire)) {
                return;
            }
            changed.await;
        }
    }

    fn leave(&self, now: Instant) {
        let since = now.saturating_duration_since(self.created).as_nanos() as u64;
        self.last_work.fetch_max(since, Ordering::Relaxed);
        if self.calls.fetch_sub(1, Ordering::AcqRel) == CLOSED + 1 {
            self.changed.notify_waiters();
        }
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.calls.load(Ordering::Relaxed);
        f.debug_struct("Instance")
            .field("id", &self.id)
            .field("function", &self.function.id)
            .field("calls", &(calls & !CLOSED))
            .field("closed", &(calls & CLOSED != 0))
            .finish_non_exhaustive()
    }
}

/// A call's stay in an instance. Dropping it is leaving.
#[derive(Debug)]
pub(super) struct Visit {
    instance: Arc<Instance>,
    clock: Clock,
}

impl std::ops::Deref for Visit {
    type Target = Arc<Instance>;

    fn deref(&self) -> &Arc<Instance> {
        &self.instance
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.instance.leave(self.clock.now());
    }
}
