use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use hyperfake_predictor::{Error, ErrorKind};

use super::{
    EventKind, FunctionInfo, InstanceId, Lifetime,
    function::Function,
    gate::{Gate, Reason},
    occupancy::Occupancy,
};
use crate::{
    clock::{Clock, Moment},
    scenario::{Cause, StartPlan},
};

/// One simulated container of a function.
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// When it came to exist.
    pub created: Moment,
    /// When its cold start is over.
    pub ready_at: Moment,
    /// Its number among the instances of its function, from 0.
    pub(super) number: u64,
    /// What the scenario drew for its start, if its start fails or its speed is not 1. Rarely there.
    drawn: Option<Box<StartPlan>>,
    /// The calls that run on it, and why it ends.
    gate: Gate,
    /// Set when it was announced as ready, by the first of the threads that could.
    announced: OnceLock<()>,
    /// When its last call ended, in nanoseconds; any thread may end a call of it.
    last_work: AtomicU64,
    /// What it is an instance of.
    pub(super) home: Arc<Function>,
    /// Its place in its function's list of instances, which changes with the list.
    pub(super) slot: AtomicU32,
    /// What ends it.
    pub lifetime: Lifetime,
    /// The number of its address; set before it is known to any other thread.
    address: AtomicU32,
    /// Set by the first thread that ends it with notice.
    leaving: AtomicBool,
    /// Set by the first thread that tells the observers of its end.
    told: AtomicBool,
    /// Set by the first thread that gives a call to it.
    called: AtomicBool,
    /// How it died, if it did; set by the first thread that lets it die.
    death: AtomicU8,
    /// What its calls with a behaviour have of it; made for the first of them.
    occupancy: OnceLock<Box<Occupancy>>,
}

/// How an instance dies, with all its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// Its program crashed.
    Crash,
    /// It used more memory than it may.
    OutOfMemory,
    /// It never came to run.
    StartFailed,
}

/// An instance that is in no list.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// An instance without an address.
const NO_ADDRESS: u32 = u32::MAX;

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
        number: u64,
        home: Arc<Function>,
        lifetime: Lifetime,
        created: Moment,
        start: StartPlan,
    ) -> Self {
        let ready_at = created + start.cold_start;
        let is_drawn = start.fails.is_some() || start.speed != 1.0;
        Self {
            id,
            created,
            ready_at,
            number,
            drawn: is_drawn.then(|| Box::new(start)),
            gate: Gate::new(None),
            announced: OnceLock::new(),
            last_work: AtomicU64::new(ready_at.as_nanos()),
            slot: AtomicU32::new(NO_SLOT),
            home,
            lifetime,
            address: AtomicU32::new(NO_ADDRESS),
            leaving: AtomicBool::new(false),
            told: AtomicBool::new(false),
            called: AtomicBool::new(false),
            death: AtomicU8::new(0),
            occupancy: OnceLock::new(),
        }
    }

    /// What it runs.
    pub fn function(&self) -> &FunctionInfo {
        &self.home.info
    }

    /// What its calls with a behaviour have of it.
    pub(super) fn occupancy(&self) -> &Occupancy {
        self.occupancy.get_or_init(Box::default)
    }

    /// Whether its start fails when its cold start is over.
    pub(super) fn start_fails(&self) -> bool {
        self.drawn.as_ref().is_some_and(|drawn| drawn.fails.is_some())
    }

    /// How fast it is, as a divisor of run times.
    pub(super) fn speed(&self) -> f64 {
        self.drawn.as_ref().map_or(1.0, |drawn| drawn.speed)
    }

    /// What those are told who wait for it, and why, if its start fails.
    pub(super) fn start_failed(&self) -> Option<(Error, Cause)> {
        let drawn = self.drawn.as_ref()?;
        let code = drawn.fails?;
        let message = format!("the instance '{}' failed to start, as the scenario says", self.id);
        let kind = ErrorKind::Injected(code.number());
        Some((Error::new(kind, message), drawn.reason.clone()))
    }

    /// What those are told who come too late.
    pub(super) fn ended(&self) -> Error {
        Error::unavailable(format!("the instance '{}' has ended", self.id))
    }

    /// Whether the call that asks is the first one.
    pub(super) fn is_first_called(&self) -> bool {
        !self.called.load(Ordering::Relaxed) && !self.called.swap(true, Ordering::Relaxed)
    }

    /// The number of its own address, if it has one.
    pub fn address(&self) -> Option<u32> {
        Some(self.address.load(Ordering::Acquire)).filter(|address| *address != NO_ADDRESS)
    }

    pub(super) fn set_address(&self, address: u32) {
        self.address.store(address, Ordering::Release);
    }

    /// Takes its address, which is to be released.
    pub(super) fn take_address(&self) -> Option<u32> {
        let address = self.address.swap(NO_ADDRESS, Ordering::AcqRel);
        Some(address).filter(|address| *address != NO_ADDRESS)
    }

    /// Whether the caller is the first that ends it with notice.
    pub(super) fn begins_to_leave(&self) -> bool {
        !self.leaving.swap(true, Ordering::AcqRel)
    }

    /// Whether the observers were told of its end before.
    pub(super) fn is_told_of(&self) -> bool {
        self.told.swap(true, Ordering::AcqRel)
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

    /// The calls that wait for a place to run.
    pub fn queued(&self) -> u32 {
        self.occupancy.get().map_or(0, |occupancy| occupancy.queued())
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

    /// Whether no call is inside and none has been for that long. Returns `Err` with the time of the
    /// next look when that is not so.
    pub(super) fn is_idle(&self, now: Moment, idle: Duration) -> Result<(), Moment> {
        match self.last_work() + idle {
            due if now < due => Err(due),
            _ if self.gate.state().inside() > 0 => Err(now + idle),
            _ => Ok(()),
        }
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

    /// Waits until no more calls are let in, and returns the event of this end.
    pub fn ends(&self) -> impl Future<Output = EventKind> + Send {
        self.gate.until(|state| state.closed().map(EventKind::from))
    }

    /// Waits until no more calls are let in, and returns why.
    pub(super) fn closed(&self) -> impl Future<Output = Reason> + Send {
        self.gate.until(|state| state.closed())
    }

    /// Lets it die, with all its calls; false when it died before.
    pub(super) fn die(&self, death: Death) -> bool {
        let number = match death {
            Death::Crash => 1,
            Death::OutOfMemory => 2,
            Death::StartFailed => 3,
        };
        let died = self.death.compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire);
        if died.is_ok() && !self.gate.close(Reason::Crash) {
            // It was closed already, and its calls are still inside.
            self.gate.wake();
        }
        died.is_ok()
    }

    /// Whether it died.
    pub(super) fn is_dead(&self) -> bool {
        self.death.load(Ordering::Acquire) != 0
    }

    /// Waits until it dies.
    pub(super) fn dead(&self) -> impl Future<Output = Death> + Send {
        self.gate.until(|_| match self.death.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Death::Crash),
            2 => Some(Death::OutOfMemory),
            _ => Some(Death::StartFailed),
        })
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
            .field("function", &self.function().id)
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

    /// When the call ended, if that was stated.
    pub(super) fn left(&self) -> Option<Moment> {
        self.left
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
