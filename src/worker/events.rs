use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use hyperfake_predictor::{Error, ErrorKind, Result};
use parking_lot::{Mutex, RwLock};

use super::Instance;
use crate::clock::Clock;

/// What can happen to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It exists, and its cold start begins.
    Start,
    /// Its cold start is over.
    Running,
    /// A call began.
    Call,
    /// A call ended.
    Response,
    /// It ended because it was told to.
    Stop,
    /// It ended because no call came.
    Timeout,
    /// It ended with the worker.
    Down,
}

impl EventKind {
    /// The events of a single call may be lost to a slow listener; those of an instance may not.
    fn may_be_lost(self) -> bool {
        matches!(self, Self::Call | Self::Response)
    }
}

/// Something that happened to an instance.
#[derive(Debug, Clone)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// Whether it went wrong: a call that was given up or that could not be predicted.
    pub failed: bool,
    /// To whom.
    pub instance: Arc<Instance>,
    /// When.
    pub at: Instant,
}

/// Hands every event to every listener.
///
/// Each listener has a buffer. When it is full, events of calls are left out and counted, while
/// events of instances still go in. A listener that is away keeps its buffer for a while, so
/// that it finds there what it missed.
#[derive(Debug)]
pub struct Events {
    /// What the log calls the worker.
    worker: String,
    listeners: RwLock<HashMap<String, Arc<Listener>>>,
    /// The number of listeners: without any, an event costs one load.
    count: AtomicUsize,
    /// Events that a buffer holds before calls are left out.
    capacity: usize,
    /// How long a listener may be away.
    patience: Duration,
}

/// The most listeners at once, so that no client can fill the memory by inventing names.
const MAX_LISTENERS: usize = 256;
/// The most events that wait for a listener which never reads; then it is given up.
const MAX_BACKLOG: usize = 100_000;

impl Events {
    /// Of the worker with this name: buffers of this many events, kept for this long for a
    /// listener that is away.
    #[must_use]
    pub fn new(worker: String, capacity: usize, patience: Duration) -> Self {
        let (listeners, count) = (RwLock::default(), AtomicUsize::new(0));
        Self { worker, listeners, count, capacity, patience }
    }

    /// Listens as this node: from now on or, for one that comes back in time, from where it
    /// left. Whoever listened under the same name before is sent away.
    ///
    /// # Errors
    ///
    /// `Exhausted` when there are too many listeners.
    pub fn subscribe(&self, node: &str, clock: &Clock) -> Result<Subscription> {
        let now = clock.now();
        let mut listeners = self.listeners.write();
        listeners.retain(|_, listener| !listener.queue.lock().is_gone(now, self.patience));
        if listeners.len() >= MAX_LISTENERS && !listeners.contains_key(node) {
            forget_the_longest_away(&mut listeners);
        }
        if listeners.len() >= MAX_LISTENERS && !listeners.contains_key(node) {
            let message = format!("{MAX_LISTENERS} nodes listen already");
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        let listener = listeners.entry(node.to_owned()).or_insert_with(|| {
            Arc::new(Listener { node: node.to_owned(), queue: Mutex::default() })
        });
        let listener = Arc::clone(listener);
        self.count.store(listeners.len(), Ordering::Release);
        let turn = {
            let mut queue = listener.queue.lock();
            queue.away_since = None;
            queue.turn += 1;
            queue.wake();
            queue.turn
        };
        Ok(Subscription { listener, turn, clock: clock.clone() })
    }

    /// Tells every listener. Without any, nothing is computed, not even the time.
    pub(super) fn emit(
        &self,
        kind: EventKind,
        failed: bool,
        instance: &Arc<Instance>,
        at: impl FnOnce() -> Instant,
    ) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let at = at();
        let event = Event { kind, failed, instance: Arc::clone(instance), at };
        let mut someone_is_gone = false;
        for listener in self.listeners.read().values() {
            someone_is_gone |= !listener.push(event.clone(), self);
        }
        if someone_is_gone {
            let mut listeners = self.listeners.write();
            listeners.retain(|_, listener| !listener.queue.lock().is_gone(at, self.patience));
            self.count.store(listeners.len(), Ordering::Release);
        }
    }

    /// Says what was left out since the last report, and forgets who is gone, also when nothing
    /// happens any more.
    pub fn tidy(&self, now: Instant) {
        let mut listeners = self.listeners.write();
        listeners.retain(|_, listener| !listener.queue.lock().is_gone(now, self.patience));
        self.count.store(listeners.len(), Ordering::Release);
        for listener in listeners.values() {
            listener.report_lost(&mut listener.queue.lock(), &self.worker, now);
        }
    }

    /// Ends every subscription once its listener has read what waits for it.
    pub(super) fn close(&self) {
        for listener in self.listeners.read().values() {
            let mut queue = listener.queue.lock();
            queue.over = queue.over.or(Some(Over::Closed));
            queue.wake();
        }
    }
}

fn forget_the_longest_away(listeners: &mut HashMap<String, Arc<Listener>>) {
    let away = listeners
        .iter()
        .filter_map(|(node, listener)| Some((listener.queue.lock().away_since?, node.clone())));
    if let Some((_, node)) = away.min() {
        listeners.remove(&node);
    }
}

/// A node that listens, or that did a moment ago.
#[derive(Debug)]
struct Listener {
    node: String,
    /// Held for a few instructions by the calls' threads in turn.
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    /// Whoever reads.
    waker: Option<Waker>,
    /// Which of the node's subscriptions is the current one.
    turn: u64,
    /// Since when nobody reads.
    away_since: Option<Instant>,
    over: Option<Over>,
    /// Events left out since the last report.
    lost: u64,
    reported: Option<Instant>,
}

/// Why a subscription is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The worker shuts down.
    Closed,
    /// The node listens anew elsewhere.
    Replaced,
    /// The listener left so much unread that it was given up.
    TooSlow,
}

impl Queue {
    /// Whether nobody will come back for what waits here.
    fn is_gone(&self, now: Instant, patience: Duration) -> bool {
        let away = self.away_since.map(|since| now.saturating_duration_since(since));
        away.is_some_and(|away| away > patience) || self.over == Some(Over::TooSlow)
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Listener {
    /// Puts an event into the buffer; false when nobody will come for it.
    fn push(&self, event: Event, events: &Events) -> bool {
        let mut queue = self.queue.lock();
        let at = event.at;
        if queue.is_gone(at, events.patience) {
            return false;
        }
        if event.kind.may_be_lost() && queue.events.len() >= events.capacity {
            queue.lost += 1;
        } else if queue.events.len() >= MAX_BACKLOG.max(events.capacity) {
            queue.over = Some(Over::TooSlow);
            queue.events = VecDeque::new();
            let (worker, node) = (&events.worker, &self.node);
            tracing::warn!(worker, node, "a listener left {MAX_BACKLOG} events unread: given up");
        } else {
            queue.events.push_back(event);
        }
        queue.wake();
        self.report_lost(&mut queue, &events.worker, at);
        true
    }

    /// Says how many events were left out, at most once a second.
    fn report_lost(&self, queue: &mut Queue, worker: &str, now: Instant) {
        let due = queue.reported.is_none_or(|last| now >= last + Duration::from_secs(1));
        if queue.lost > 0 && due {
            tracing::warn!(
                worker,
                node = self.node,
                lost = queue.lost,
                "a listener is too slow: CALL and RESPONSE events were left out"
            );
            queue.lost = 0;
            queue.reported = Some(now);
        }
    }
}
/// The events of one listener. Dropping it is going away.
#[derive(Debug)]
pub struct Subscription {
    listener: Arc<Listener>,
    turn: u64,
    clock: Clock,
}

impl Subscription {
    /// The next event, or why there will be no more.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, Over>> {
        let mut queue = self.listener.queue.lock();
        if queue.turn != self.turn {
            return Poll::Ready(Err(Over::Replaced));
        }
        if let Some(event) = queue.events.pop_front() {
            return Poll::Ready(Ok(event));
        }
        if let Some(over) = queue.over {
            return Poll::Ready(Err(over));
        }
        queue.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut queue = self.listener.queue.lock();
        if queue.turn == self.turn {
            queue.away_since = Some(self.clock.now());
            queue.waker = None;
        }
    }
}
