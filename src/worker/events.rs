use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use hyperfake_predictor::{Error, Result};
use parking_lot::{Mutex, RwLock};

use super::Instance;
use crate::clock::{Clock, Moment};

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
    pub at: Moment,
}

/// Hands every event to every listener.
///
/// A listener is a `Status` stream. It has a buffer of its own: when that is full, events of calls
/// are left out and counted, while events of instances still go in.
///
/// Streams are named by the node that opens them, and several may have one name, as two leaves of
/// the platform do: all stay open, and each gets every event. A stream that ends leaves its buffer
/// behind, which goes on to take in events for
/// [`Config::listener_timeout`](super::Config::listener_timeout). A stream that is opened under
/// that name takes over one such buffer, and so finds what happened while it was away; without one
/// it begins with what happens from then on. As a buffer is taken over once, no event is sent twice
/// for one that was missed, and none is lost because another stream of the name stayed open.
///
/// Which of two nodes of one name comes back cannot be told. Of several buffers, the one that was
/// left last is taken over: it is the right one for a node that comes back while the end of an
/// earlier stream of its own, over a line that was cut, was noticed late.
#[derive(Debug)]
pub struct Events {
    /// What the log calls the worker.
    worker: String,
    /// Those that are open, and those whose buffers wait for a return. Calls only read the list.
    listeners: RwLock<Vec<Arc<Listener>>>,
    /// The number of listeners: without any, an event costs one load.
    count: AtomicUsize,
    /// Events that a buffer holds before calls are left out.
    capacity: usize,
    /// How long a listener may be away.
    patience: Duration,
}

/// The most listeners at once, so that no client can fill the memory by opening streams.
const MAX_LISTENERS: usize = 256;
/// The most events that wait for a listener which never reads; then it is disconnected.
const MAX_BACKLOG: usize = 100_000;

impl Events {
    /// Of the worker with this name: buffers of this many events, kept for this long for a
    /// listener that is away.
    #[must_use]
    pub fn new(worker: String, capacity: usize, patience: Duration) -> Self {
        let (listeners, count) = (RwLock::default(), AtomicUsize::new(0));
        Self { worker, listeners, count, capacity, patience }
    }

    /// Listens as this node: from now on or, for one that comes back in time, from where it left.
    ///
    /// # Errors
    ///
    /// `Exhausted` when there are too many listeners.
    pub fn subscribe(&self, node: &str, clock: &Clock) -> Result<Subscription> {
        let now = clock.now();
        let mut listeners = self.listeners.write();
        listeners.retain(|listener| !listener.queue.lock().is_gone(now, self.patience));
        let left = listeners.iter().filter(|listener| listener.node == node);
        let left = left.filter_map(|left| Some((left.queue.lock().away_since?, left)));
        let listener = match left.max_by_key(|(since, _)| *since) {
            Some((_, left)) => Arc::clone(left),
            None => {
                if listeners.len() >= MAX_LISTENERS {
                    forget_the_longest_away(&mut listeners);
                }
                if listeners.len() >= MAX_LISTENERS {
                    let message = format!("{MAX_LISTENERS} listeners are connected already");
                    return Err(Error::exhausted(message));
                }
                let new = Listener { node: node.to_owned(), queue: Mutex::default() };
                let new = Arc::new(new);
                listeners.push(Arc::clone(&new));
                new
            }
        };
        listener.queue.lock().away_since = None;
        self.count.store(listeners.len(), Ordering::Release);
        Ok(Subscription { listener, clock: clock.clone() })
    }

    /// Tells every listener. Without any, nothing is computed, not even the time.
    pub(super) fn emit(
        &self,
        kind: EventKind,
        failed: bool,
        instance: &Arc<Instance>,
        at: impl FnOnce() -> Moment,
    ) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let at = at();
        let event = Event { kind, failed, instance: Arc::clone(instance), at };
        let mut someone_is_gone = false;
        for listener in self.listeners.read().iter() {
            someone_is_gone |= !listener.push(event.clone(), self);
        }
        if someone_is_gone {
            let mut listeners = self.listeners.write();
            listeners.retain(|listener| !listener.queue.lock().is_gone(at, self.patience));
            self.count.store(listeners.len(), Ordering::Release);
        }
    }

    /// Says what was left out since the last report, and forgets who is gone, also when nothing
    /// happens any more.
    pub fn tidy(&self, now: Moment) {
        let mut listeners = self.listeners.write();
        listeners.retain(|listener| !listener.queue.lock().is_gone(now, self.patience));
        self.count.store(listeners.len(), Ordering::Release);
        for listener in listeners.iter() {
            listener.report_lost(&mut listener.queue.lock(), &self.worker, now);
        }
    }

    /// Ends every subscription once its listener has read what waits for it.
    pub(super) fn close(&self) {
        for listener in self.listeners.read().iter() {
            let mut queue = listener.queue.lock();
            queue.over = queue.over.or(Some(Over::Closed));
            queue.wake();
        }
    }
}

fn forget_the_longest_away(listeners: &mut Vec<Arc<Listener>>) {
    let away = listeners
        .iter()
        .enumerate()
        .filter_map(|(place, listener)| Some((listener.queue.lock().away_since?, place)));
    if let Some((_, place)) = away.min() {
        listeners.swap_remove(place);
    }
}

/// A stream that is open, or one that ended a moment ago.
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
    /// When the stream ended; nothing while it is open.
    away_since: Option<Moment>,
    over: Option<Over>,
    /// Events left out since the last report.
    lost: u64,
    reported: Option<Moment>,
}

/// Why a subscription is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The worker shuts down.
    Closed,
    /// The listener left so much unread that it was given up.
    TooSlow,
}

impl Queue {
    /// Whether nobody will come back for what waits here.
    fn is_gone(&self, now: Moment, patience: Duration) -> bool {
        let away = self.away_since.map(|since| now - since);
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
    fn report_lost(&self, queue: &mut Queue, worker: &str, now: Moment) {
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
    clock: Clock,
}

impl Subscription {
    /// The next event, or why there will be no more.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, Over>> {
        let mut queue = self.listener.queue.lock();
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
        queue.away_since = Some(self.clock.now());
        queue.waker = None;
    }
}
