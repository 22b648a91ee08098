use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{Function, InstanceId};
use crate::clock::{Clock, Moment};

/// One simulated container of a function.
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// What it runs.
    pub function: Arc<Function>,
    /// When it came to exist.
    pub created: Moment,
    /// When its cold start is over.
    pub ready_at: Moment,
    /// Calls inside and, once it is closed, the [`End`] that closed it: one number, so that
    /// closing and entering cannot overlap and only one end can win.
    calls: AtomicU32,
    /// Set when its RUNNING event was sent.
    announced: OnceLock<()>,
    /// When its last call ended, in nanoseconds after `created`.
    last_work: AtomicU64,
    /// Its place in the function's rotation.
    pub(super) slot: AtomicUsize,
    /// Signalled when it is ready, when it is closed, and when the last call has left it.
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

/// Why an instance takes no more calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was told to.
    Stop,
    /// No call came.
    Timeout,
    /// The worker shuts down.
    Down,
}

/// An [`End`] is in the two highest bits; zero there means open.
const CLOSED: u32 = 3 << 30;

impl End {
    fn bits(self) -> u32 {
        match self {
            Self::Stop => 1 << 30,
            Self::Timeout => 2 << 30,
            Self::Down => 3 << 30,
        }
    }

    fn of(calls: u32) -> Option<Self> {
        match calls >> 30 {
            0 => None,
            1 => Some(Self::Stop),
            2 => Some(Self::Timeout),
            _ => Some(Self::Down),
        }
    }
}

impl Instance {
    pub(super) fn new(
        id: InstanceId,
        function: Arc<Function>,
        created: Moment,
        cold_start: Duration,
    ) -> Self {
        Self {
            id,
            function,
            created,
            ready_at: created + cold_start,
            calls: AtomicU32::new(0),
            announced: OnceLock::new(),
            last_work: AtomicU64::new(cold_start.as_nanos() as u64),
            slot: AtomicUsize::new(usize::MAX),
            changed: Notify::new(),
        }
    }

    /// What it is doing at this moment.
    pub fn state(&self, now: Moment) -> InstanceState {
        match self.calls.load(Ordering::Acquire) {
            calls if End::of(calls).is_some() => match calls & !CLOSED {
                0 => InstanceState::Stopped,
                _ => InstanceState::Stopping,
            },
            _ if now < self.ready_at => InstanceState::Starting,
            0 => InstanceState::Idle,
            _ => InstanceState::Busy,
        }
    }

    /// Whether it is gone.
    pub fn is_stopped(&self) -> bool {
        is_stopped(self.calls.load(Ordering::Acquire))
    }

    /// When its last call ended; before the first call, when it was ready.
    pub fn last_work(&self) -> Moment {
        self.created + Duration::from_nanos(self.last_work.load(Ordering::Relaxed))
    }

    /// Lets a call in, unless the instance is closed.
    pub(super) fn enter<'a>(self: &Arc<Self>, clock: &'a Clock) -> Option<Visit<'a>> {
        self.calls
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |calls| {
                End::of(calls).is_none().then_some(calls + 1)
            })
            .ok()
            .map(|_| Visit { instance: Arc::clone(self), clock, left: None })
    }

    /// Lets no more calls in, for this reason; true for whoever closed it.
    pub(super) fn close(&self, end: End) -> bool {
        let closed = self
            .calls
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |calls| {
                End::of(calls).is_none().then_some(calls | end.bits())
            })
            .is_ok();
        if closed {
            self.changed.notify_waiters();
        }
        closed
    }

    /// Closes it if no call is inside and none has been since that long ago. Returns `Err` with
    /// the time of the next look when that is not so.
    pub(super) fn close_if_idle(&self, now: Moment, idle: Duration) -> Result<(), Moment> {
        let due = self.last_work() + idle;
        if now < due {
            return Err(due);
        }
        let timeout = End::Timeout.bits();
        match self.calls.compare_exchange(0, timeout, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                self.changed.notify_waiters();
                Ok(())
            }
            // Somebody else closed it.
            Err(calls) if End::of(calls).is_some() => Ok(()),
            // Busy: it cannot have been idle for that long any earlier than this.
            Err(_) => Err(now + idle),
        }
    }

    /// Sends the RUNNING event, once; nobody goes on before it is sent. True for the one that sent
    /// it.
    pub(super) fn announce(&self, send: impl FnOnce()) -> bool {
        let mut first = false;
        self.announced.get_or_init(|| {
            send();
            first = true;
        });
        if first {
            self.changed.notify_waiters();
        }
        first
    }

    /// Whether its RUNNING event was sent.
    pub(super) fn is_announced(&self) -> bool {
        self.announced.get().is_some()
    }

    /// Waits until its RUNNING event was sent; false when it was closed before.
    pub(super) fn ready(&self) -> impl Future<Output = bool> + Send {
        self.wait_for(|calls| match self.is_announced() {
            true => Some(true),
            false => End::of(calls).map(|_| false),
        })
    }

    /// Waits until it is closed and the last call has left.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send {
        self.wait_for(|calls| is_stopped(calls).then_some(()))
    }

    /// Waits until no more calls are let in, and says why.
    pub(super) fn closed(&self) -> impl Future<Output = End> + Send {
        self.wait_for(End::of)
    }

    async fn wait_for<T>(&self, reached: impl Fn(u32) -> Option<T>) -> T {
        loop {
            // Listens before it looks, so that no signal falls in between.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(reached) = reached(self.calls.load(Ordering::Acquire)) {
                return reached;
            }
            changed.await;
        }
    }

    fn leave(&self, now: Moment) {
        let since = (now - self.created).as_nanos() as u64;
        self.last_work.fetch_max(since, Ordering::Relaxed);
        if is_stopped(self.calls.fetch_sub(1, Ordering::AcqRel) - 1) {
            self.changed.notify_waiters();
        }
    }
}

fn is_stopped(calls: u32) -> bool {
    End::of(calls).is_some() && calls & !CLOSED == 0
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.calls.load(Ordering::Relaxed);
        f.debug_struct("Instance")
            .field("id", &self.id)
            .field("function", &self.function.id)
            .field("calls", &(calls & !CLOSED))
            .field("end", &End::of(calls))
            .finish_non_exhaustive()
    }
}

/// A call's stay in an instance. Dropping it is leaving.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    instance: Arc<Instance>,
    clock: &'a Clock,
    left: Option<Moment>,
}

impl Visit<'_> {
    /// Says when it was over; otherwise that is when it is dropped.
    pub(super) fn left_at(&mut self, now: Moment) {
        self.left = Some(now);
    }
}

impl std::ops::Deref for Visit<'_> {
    type Target = Arc<Instance>;

    fn deref(&self) -> &Arc<Instance> {
        &self.instance
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.instance.leave(self.left.unwrap_or_else(|| self.clock.now()));
    }
}
