use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use hyperfake_predictor::{Error, Result};
use parking_lot::Mutex;

use super::{
    Event, EventKind, Instance, Observer,
    event_log::{Cursor, EventLog},
    nodes::{Nodes, Presence},
};
use crate::{
    clock::{Clock, Moment},
    record::{CallOutcome, CallRecord, Sink},
};

/// Hands every event to every listener, of which each is a `Status` stream.
///
/// Events are kept once for all listeners, until all have read them, and a listener is a place in
/// them. When more events of calls are kept than [`Config::event_buffer`](super::Config::event_buffer),
/// the oldest are discarded, so that a listener which is too slow loses them. Events of instances are
/// not discarded for it, but a listener that leaves very many of them unread is disconnected.
///
/// Streams are named by the node that opens them, and several may have one name, as two leaves of
/// the platform do: all stay open, and each gets every event. A stream that ends leaves its place
/// behind, which is kept for [`Config::listener_timeout`](super::Config::listener_timeout). A stream
/// that is opened under that name takes over one such place, and so gets the events that it missed;
/// without one it begins with what happens from then on. As a place is taken over once, no event is
/// sent twice for one that was missed, and none is lost because another stream of the name stayed
/// open.
///
/// Which of two nodes of one name comes back cannot be told. Of several places, the one that was
/// left last is taken over: it is the right one for a node that comes back while the end of an
/// earlier stream of its own, over a line that was cut, was noticed late.
#[derive(Debug)]
pub(super) struct Listeners {
    /// What the log calls the worker.
    worker: String,
    /// Held for a few instructions by the calls' threads in turn.
    state: Mutex<State>,
    /// The number of listeners: without any, an event costs one load.
    count: AtomicUsize,
    /// Events of calls that are kept for a listener that is too slow.
    capacity: usize,
    /// How long a listener may be disconnected without missing events.
    reconnect_window: Duration,
}

/// The most listeners at once, so that no client can fill the memory by opening streams.
const MAX_LISTENERS: usize = 256;
/// The most events of instances that wait for a listener which never reads; then it is disconnected.
const MAX_BACKLOG: usize = 100_000;
/// Warnings of a worker's listeners are at least this far apart.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);
/// What was read is discarded when there are this many events.
const TIDY_AT: usize = 16;

#[derive(Debug, Default)]
struct State {
    log: EventLog,
    /// Those that are open, and those whose places wait for a return, by the number of each.
    listeners: BTreeMap<u64, Listener>,
    /// The number of the next listener.
    next: u64,
    /// What was read is discarded when there are as many events as this.
    tidy_at: usize,
    is_closed: bool,
    /// The next warning is due then.
    warn_at: Moment,
    /// Listeners that were disconnected since the last warning, and the name of the last of them.
    disconnected: usize,
    last_disconnected: String,
}

/// A stream that is open, or one that ended a moment ago.
#[derive(Debug)]
struct Listener {
    node: String,
    /// Events of the worker's former life, which it reads first.
    unnoticed: VecDeque<Event>,
    cursor: Cursor,
    /// Events left out since the last warning.
    lost: u64,
    /// Of the task that reads the stream.
    waker: Option<Waker>,
    /// When the stream ended; nothing while it is open.
    disconnected_since: Option<Moment>,
}

/// Why a subscription is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionEnd {
    /// The worker shuts down.
    Closed,
    /// The listener left so much unread that it was disconnected.
    Lagged,
}

impl Listeners {
    /// Of the worker with this name: so many events of calls wait for a listener, and its place is
    /// kept for this long when it is disconnected.
    pub(super) fn new(worker: String, capacity: usize, reconnect_window: Duration) -> Self {
        let (state, count) = (Mutex::default(), AtomicUsize::new(0));
        Self { worker, state, count, capacity, reconnect_window }
    }

    /// Listens as this node: from now on or, for one that comes back in time, from where it left. A
    /// new one is told of what no listener was told of before.
    ///
    /// # Errors
    ///
    /// `Exhausted` when there are too many listeners.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        node: &str,
        unnoticed: VecDeque<Event>,
        nodes: &Nodes,
        clock: &Clock,
    ) -> Result<Subscription> {
        let mut state = self.state.lock();
        self.tidy(&mut state, clock.now());
        let left = state.listeners.iter().filter(|(_, listener)| listener.node == node);
        let left = left.filter_map(|(id, left)| Some((left.disconnected_since?, *id)));
        let id = match left.max() {
            Some((_, left)) => left,
            None => {
                if state.listeners.len() >= MAX_LISTENERS && !state.evict_oldest_disconnected() {
                    let message = format!("{MAX_LISTENERS} listeners are connected already");
                    return Err(Error::exhausted(message));
                }
                state.next += 1;
                let (id, node, cursor) = (state.next, node.to_owned(), state.log.end());
                let new = Listener {
                    node,
                    unnoticed,
                    cursor,
                    lost: 0,
                    waker: None,
                    disconnected_since: None,
                };
                state.listeners.insert(id, new);
                id
            }
        };
        if let Some(listener) = state.listeners.get_mut(&id) {
            listener.disconnected_since = None;
        }
        self.count.store(state.listeners.len(), Ordering::Release);
        let _presence = nodes.arrive(node, clock);
        Ok(Subscription { listeners: Arc::clone(self), id, clock: clock.clone(), _presence })
    }

    fn emit(&self, event: Event) {
        let at = event.at;
        let mut state = self.state.lock();
        if state.log.len() >= state.tidy_at {
            self.tidy(&mut state, at);
        }
        if state.listeners.is_empty() {
            return;
        }
        state.log.push(event);
        if state.log.limit_calls(self.capacity) {
            self.warn(&mut state, at);
        }
        let most = MAX_BACKLOG.max(self.capacity);
        if state.log.limit_instances(most) {
            state.disconnect_lagged();
            self.tidy(&mut state, at);
            self.warn(&mut state, at);
        }
        state.wake();
    }

    /// Evicts the listeners that did not come back in time, and discards what the others have read.
    fn tidy(&self, state: &mut State, now: Moment) {
        state.listeners.retain(|_, listener| {
            let absence = listener.disconnected_since.map(|since| now - since);
            absence.is_none_or(|absence| absence <= self.reconnect_window)
        });
        self.count.store(state.listeners.len(), Ordering::Release);
        state.count_lost();
        state.log.forget_read(state.listeners.values().map(|listener| listener.cursor));
        state.tidy_at = TIDY_AT.max(2 * state.log.len());
    }

    /// Says how many events were left out and which listener lost most of them, at most once a
    /// second.
    fn warn(&self, state: &mut State, now: Moment) {
        if now < state.warn_at {
            return;
        }
        state.warn_at = now + WARNING_INTERVAL;
        state.count_lost();
        let (worker, listeners) = (&self.worker, state.listeners.values());
        let lost: u64 = listeners.clone().map(|listener| listener.lost).sum();
        if let Some(slowest) = listeners.max_by_key(|listener| listener.lost).filter(|_| lost > 0) {
            let (node, disconnected) = (&slowest.node, state.disconnected);
            tracing::warn!(
                worker,
                node,
                lost,
                disconnected,
                "a listener is too slow: CALL and RESPONSE events were left out"
            );
        } else if state.disconnected > 0 {
            let (node, disconnected) = (&state.last_disconnected, state.disconnected);
            tracing::warn!(
                worker,
                node,
                disconnected,
                "a listener left {MAX_BACKLOG} events unread: disconnected"
            );
        }
        state.listeners.values_mut().for_each(|listener| listener.lost = 0);
        state.disconnected = 0;
    }

    /// Reports what was left out since the last report, and evicts the listeners that did not come
    /// back in time, also when nothing happens any more.
    pub(super) fn housekeeping(&self, now: Moment) {
        let mut state = self.state.lock();
        self.tidy(&mut state, now);
        self.warn(&mut state, now);
        state.log.shrink();
    }

    /// Ends every subscription once its listener has read what waits for it.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.wake();
    }
}

impl State {
    fn wake(&mut self) {
        for listener in self.listeners.values_mut() {
            if let Some(waker) = listener.waker.take() {
                waker.wake();
            }
        }
    }

    /// Counts what each listener lost, before it reads on or the events are discarded.
    fn count_lost(&mut self) {
        for listener in self.listeners.values_mut() {
            listener.count_lost(&self.log);
        }
    }

    /// Ends the listeners that left too many events of instances unread. Their streams are told.
    fn disconnect_lagged(&mut self) {
        let Self { log, listeners, disconnected, last_disconnected, .. } = self;
        listeners.retain(|_, listener| {
            let has_lagged = log.has_lost_an_instance(&listener.cursor);
            if has_lagged {
                *disconnected += 1;
                *last_disconnected = std::mem::take(&mut listener.node);
                if let Some(waker) = listener.waker.take() {
                    waker.wake();
                }
            }
            !has_lagged
        });
    }

    /// False when all are connected.
    fn evict_oldest_disconnected(&mut self) -> bool {
        let away = self.listeners.iter();
        let away = away.filter_map(|(id, listener)| Some((listener.disconnected_since?, *id)));
        away.min().is_some_and(|(_, id)| self.listeners.remove(&id).is_some())
    }
}

impl Listener {
    fn count_lost(&mut self, log: &EventLog) {
        self.lost += log.skip_lost(&mut self.cursor);
    }
}

impl Sink for Listeners {
    fn is_active(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// A call that ended before it began was not announced, and has no response.
    fn call_ended(&self, record: &CallRecord) {
        if let (Some(instance), Some(_)) = (record.instance, record.began) {
            self.emit(Event {
                kind: EventKind::Response,
                failed: record.outcome != CallOutcome::Succeeded,
                instance,
                function: Arc::clone(&record.function),
                at: record.ended,
            });
        }
    }
}

impl Observer for Listeners {
    fn watches(&self, _kind: EventKind) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    fn instance_changed(&self, kind: EventKind, instance: &Instance, at: Moment) {
        self.emit(Event {
            kind,
            failed: kind == EventKind::Killed,
            instance: instance.id,
            function: Arc::clone(&instance.function().id),
            at,
        });
    }
}

/// The events of one listener. Dropping it disconnects the listener.
#[derive(Debug)]
pub struct Subscription {
    listeners: Arc<Listeners>,
    id: u64,
    clock: Clock,
    _presence: Presence,
}

impl Subscription {
    /// The next event, or why there will be no more.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, SubscriptionEnd>> {
        let mut state = self.listeners.state.lock();
        let State { log, listeners, is_closed, .. } = &mut *state;
        let Some(listener) = listeners.get_mut(&self.id) else {
            return Poll::Ready(Err(SubscriptionEnd::Lagged));
        };
        if let Some(event) = listener.unnoticed.pop_front() {
            return Poll::Ready(Ok(event));
        }
        listener.count_lost(log);
        if let Some(event) = log.read(&mut listener.cursor) {
            return Poll::Ready(Ok(event));
        }
        if *is_closed {
            return Poll::Ready(Err(SubscriptionEnd::Closed));
        }
        listener.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let now = self.clock.now();
        if let Some(listener) = self.listeners.state.lock().listeners.get_mut(&self.id) {
            listener.disconnected_since = Some(now);
            listener.waker = None;
        }
    }
}

#[cfg(test)]
mod tests;
