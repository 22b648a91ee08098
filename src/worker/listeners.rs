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

use super::{
    Event, EventKind, Instance, Observer,
    nodes::{Nodes, Presence},
};
use crate::{
    clock::{Clock, Moment, Throttle},
    record::{CallOutcome, CallRecord, Sink},
};

/// Hands every event to every listener, of which each is a `Status` stream.
///
/// A listener has a buffer of its own: when that is full, events of calls are left out and counted,
/// while events of instances still go in.
///
/// Streams are named by the node that opens them, and several may have one name, as two leaves of
/// the platform do: all stay open, and each gets every event. A stream that ends leaves its buffer
/// behind, which goes on to take in events for
/// [`Config::listener_timeout`](super::Config::listener_timeout). A stream that is opened under
/// that name takes over one such buffer, and so gets the events that it missed; without one
/// it begins with what happens from then on. As a buffer is taken over once, no event is sent twice
/// for one that was missed, and none is lost because another stream of the name stayed open.
///
/// Which of two nodes of one name comes back cannot be told. Of several buffers, the one that was
/// left last is taken over: it is the right one for a node that comes back while the end of an
/// earlier stream of its own, over a line that was cut, was noticed late.
#[derive(Debug)]
pub(super) struct Listeners {
    /// What the log calls the worker.
    worker: String,
    /// Those that are open, and those whose buffers wait for a return. Calls only read the list.
    listeners: RwLock<Vec<Arc<Listener>>>,
    /// The number of listeners: without any, an event costs one load.
    count: AtomicUsize,
    /// Events that a buffer holds before calls are left out.
    capacity: usize,
    /// How long a listener may be disconnected without missing events.
    reconnect_window: Duration,
}

/// The most listeners at once, so that no client can fill the memory by opening streams.
const MAX_LISTENERS: usize = 256;
/// The most events that wait for a listener which never reads; then it is disconnected.
const MAX_BACKLOG: usize = 100_000;

impl Listeners {
    /// Of the worker with this name: buffers of this many events, kept for this long for a
    /// listener that is disconnected.
    pub(super) fn new(worker: String, capacity: usize, reconnect_window: Duration) -> Self {
        let (listeners, count) = (RwLock::default(), AtomicUsize::new(0));
        Self { worker, listeners, count, capacity, reconnect_window }
    }

    /// Listens as this node: from now on or, for one that comes back in time, from where it left. A
    /// new one is told of what nobody noticed before.
    ///
    /// # Errors
    ///
    /// `Exhausted` when there are too many listeners.
    pub(super) fn subscribe(
        &self,
        node: &str,
        unnoticed: VecDeque<Event>,
        nodes: &Nodes,
        clock: &Clock,
    ) -> Result<Subscription> {
        let now = clock.now();
        let mut listeners = self.listeners.write();
        self.evict_expired(&mut listeners, now);
        let left = listeners.iter().filter(|listener| listener.node == node);
        let left = left.filter_map(|left| Some((left.queue.lock().disconnected_since?, left)));
        let listener = match left.max_by_key(|(since, _)| *since) {
            Some((_, left)) => Arc::clone(left),
            None => {
                if listeners.len() >= MAX_LISTENERS {
                    evict_oldest_disconnected(&mut listeners);
                }
                if listeners.len() >= MAX_LISTENERS {
                    let message = format!("{MAX_LISTENERS} listeners are connected already");
                    return Err(Error::exhausted(message));
                }
                let new = Listener {
                    node: node.to_owned(),
                    queue: Mutex::new(Queue { events: unnoticed, ..Queue::default() }),
                    lost_reports: Throttle::every(Duration::from_secs(1)),
                };
                let new = Arc::new(new);
                listeners.push(Arc::clone(&new));
                new
            }
        };
        listener.queue.lock().disconnected_since = None;
        self.count.store(listeners.len(), Ordering::Release);
        let presence = nodes.arrive(node, clock);
        Ok(Subscription { listener, clock: clock.clone(), _presence: presence })
    }

    fn emit(&self, event: &Event) {
        let mut expired = false;
        for listener in self.listeners.read().iter() {
            expired |= !listener.push(event.clone(), self);
        }
        if expired {
            self.evict_expired(&mut self.listeners.write(), event.at);
        }
    }

    fn evict_expired(&self, listeners: &mut Vec<Arc<Listener>>, now: Moment) {
        listeners.retain(|listener| !listener.queue.lock().is_expired(now, self.reconnect_window));
        self.count.store(listeners.len(), Ordering::Release);
    }

    /// Reports what was left out since the last report, and evicts the listeners that did not come
    /// back in time, also when nothing happens any more.
    pub(super) fn housekeeping(&self, now: Moment) {
        let mut listeners = self.listeners.write();
        self.evict_expired(&mut listeners, now);
        for listener in listeners.iter() {
            listener.report_lost(&mut listener.queue.lock(), &self.worker, now);
        }
    }

    /// Ends every subscription once its listener has read what waits for it.
    pub(super) fn close(&self) {
        for listener in self.listeners.read().iter() {
            let mut queue = listener.queue.lock();
            queue.end = queue.end.or(Some(SubscriptionEnd::Closed));
            queue.wake();
        }
    }
}

impl Sink for Listeners {
    fn is_active(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// A call that ended before it began was not announced, and has no response.
    fn call_ended(&self, record: &CallRecord) {
        if record.began.is_some() {
            self.emit(&Event {
                kind: EventKind::Response,
                failed: record.outcome != CallOutcome::Succeeded,
                instance: record.instance,
                function: Arc::clone(&record.function),
                at: record.ended,
            });
        }
    }
}

impl Observer for Listeners {
    fn is_active(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    fn instance_changed(&self, kind: EventKind, instance: &Instance, at: Moment) {
        self.emit(&Event {
            kind,
            failed: kind == EventKind::Killed,
            instance: instance.id,
            function: Arc::clone(&instance.function.id),
            at,
        });
    }
}

fn evict_oldest_disconnected(listeners: &mut Vec<Arc<Listener>>) {
    let away = listeners
        .iter()
        .enumerate()
        .filter_map(|(place, listener)| Some((listener.queue.lock().disconnected_since?, place)));
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
    lost_reports: Throttle,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    /// Of the task that reads the stream.
    waker: Option<Waker>,
    /// When the stream ended; nothing while it is open.
    disconnected_since: Option<Moment>,
    end: Option<SubscriptionEnd>,
    /// Events left out since the last report.
    lost: u64,
}

/// Why a subscription is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionEnd {
    /// The worker shuts down.
    Closed,
    /// The listener left so much unread that it was disconnected.
    Lagged,
}

impl Queue {
    /// Whether no stream can take over what waits here any more.
    fn is_expired(&self, now: Moment, reconnect_window: Duration) -> bool {
        let absence = self.disconnected_since.map(|since| now - since);
        absence.is_some_and(|absence| absence > reconnect_window)
            || self.end == Some(SubscriptionEnd::Lagged)
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Listener {
    /// Puts an event into the buffer; false when it has expired.
    fn push(&self, event: Event, listeners: &Listeners) -> bool {
        let mut queue = self.queue.lock();
        let at = event.at;
        if queue.is_expired(at, listeners.reconnect_window) {
            return false;
        }
        if event.kind.is_lossy() && queue.events.len() >= listeners.capacity {
            queue.lost += 1;
        } else if queue.events.len() >= MAX_BACKLOG.max(listeners.capacity) {
            queue.end = Some(SubscriptionEnd::Lagged);
            queue.events = VecDeque::new();
            let (worker, node) = (&listeners.worker, &self.node);
            tracing::warn!(
                worker,
                node,
                "a listener left {MAX_BACKLOG} events unread: disconnected"
            );
        } else {
            queue.events.push_back(event);
        }
        queue.wake();
        self.report_lost(&mut queue, &listeners.worker, at);
        true
    }

    /// Says how many events were left out, at most once a second.
    fn report_lost(&self, queue: &mut Queue, worker: &str, now: Moment) {
        if queue.lost > 0 && self.lost_reports.is_due(now) {
            tracing::warn!(
                worker,
                node = self.node,
                lost = queue.lost,
                "a listener is too slow: CALL and RESPONSE events were left out"
            );
            queue.lost = 0;
        }
    }
}

/// The events of one listener. Dropping it disconnects the listener.
#[derive(Debug)]
pub struct Subscription {
    listener: Arc<Listener>,
    clock: Clock,
    _presence: Presence,
}

impl Subscription {
    /// The next event, or why there will be no more.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, SubscriptionEnd>> {
        let mut queue = self.listener.queue.lock();
        if let Some(event) = queue.events.pop_front() {
            return Poll::Ready(Ok(event));
        }
        if let Some(end) = queue.end {
            return Poll::Ready(Err(end));
        }
        queue.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut queue = self.listener.queue.lock();
        queue.disconnected_since = Some(self.clock.now());
        queue.waker = None;
    }
}
