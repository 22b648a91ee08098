use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::{
    fleet::{self, Fleet, InstanceCounts, unix},
    observe::{Observatory, Observed},
    scenario::Current,
    snapshot::{Input, Mark, Pair, Row, Snapshot, Versions},
};
use crate::clock::{Clock, Lateness, Moment};

/// What readers are shown. It is made on the page's own thread, and no call waits for it.
#[derive(Debug)]
pub(super) struct View {
    pub(super) fleet: Fleet,
    pub(super) clock: Clock,
    pub(super) scenario: Current,
    /// When the process began to serve, as Unix time in seconds.
    pub(super) started: f64,
    observatory: Arc<Observatory>,
    state: Mutex<State>,
    /// The latest event of the stream.
    events: watch::Sender<Bytes>,
    /// When a reader came last, in nanoseconds; handlers of requests set it and the ticks read it.
    read_at: AtomicU64,
}

/// What was seen so far.
#[derive(Debug)]
pub(super) struct State {
    pub(super) observed: Observed,
    pub(super) instances: InstanceCounts,
    pub(super) history: VecDeque<Row>,
    pub(super) pairs: VecDeque<Pair>,
    pub(super) marks: VecDeque<Mark>,
    pub(super) snapshot: Option<Snapshot>,
    /// When what the threads of calls have left was taken in last.
    drained: Moment,
    faults_version: u64,
    new_marks: Vec<Mark>,
    number: u64,
    /// The time, the lateness and the extrapolated calls at the last snapshot.
    before: Moment,
    lateness: Lateness,
    extrapolated: u64,
    /// The snapshot as an event, and its number.
    event: (u64, Bytes),
}

/// The time from one snapshot to the next.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// Instances that ended are forgotten with every snapshot of this many.
const FORGETTING: u64 = 60;
/// Readers let what happened be taken in at most as often.
const FRESH: Duration = Duration::from_millis(100);
const MAX_HISTORY: usize = 300;
const MAX_PAIRS: usize = 1000;
const MAX_MARKS: usize = 100;
/// As many instances are looked at each second whether or not the page is read.
const FEW_INSTANCES: usize = 20_000;
/// More of them only when the page was read within this time.
const READ: Duration = Duration::from_secs(60);

impl View {
    pub(super) fn new(fleet: Fleet, observatory: Arc<Observatory>) -> Arc<Self> {
        let clock = fleet::clock();
        let now = clock.now();
        let workers = fleet.workers.len();
        let state = State {
            observed: Observed::new(workers),
            instances: InstanceCounts::default(),
            history: VecDeque::new(),
            pairs: VecDeque::new(),
            marks: VecDeque::new(),
            snapshot: None,
            drained: Moment::default(),
            faults_version: 0,
            new_marks: Vec::new(),
            number: 0,
            before: now,
            lateness: fleet.lateness(),
            extrapolated: 0,
            event: (0, Bytes::new()),
        };
        Arc::new(Self {
            started: unix(&clock, now),
            fleet,
            clock,
            scenario: Current::default(),
            observatory,
            state: Mutex::new(state),
            events: watch::channel(Bytes::new()).0,
            read_at: AtomicU64::new(0),
        })
    }

    /// Makes a snapshot every second, until it is dropped.
    pub(super) async fn run(&self) {
        let mut due = self.clock.now();
        loop {
            // After a pause of the machine, snapshots are not made up for.
            due = (due + PERIOD).max(self.clock.now());
            self.clock.sleep_until(due).await;
            self.tick();
        }
    }

    /// Makes a snapshot.
    pub(super) fn tick(&self) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let state = &mut *state;
        self.drain(state, now);
        state.observed.strip.tick(&self.fleet.workers, state.before, now);
        state.instances = self.count_instances(state, now);
        let lateness = self.fleet.lateness();
        let recent = lateness.since(&state.lateness);
        state.lateness = lateness;
        let extrapolated: u64 = self.fleet.extrapolated().iter().map(|(_, count)| count).sum();
        let more = extrapolated - mem::replace(&mut state.extrapolated, extrapolated);
        state.faults_version = self.scenario.version(&self.fleet);
        state.number += 1;
        if state.number.is_multiple_of(FORGETTING) {
            state.observed.totals.forget_instances(&self.fleet.workers);
        }
        let snapshot = Snapshot::new(Input {
            fleet: &self.fleet,
            clock: &self.clock,
            observed: &state.observed,
            instances: &state.instances,
            lateness: &recent,
            extrapolated: more,
            number: state.number,
            before: mem::replace(&mut state.before, now),
            now,
            marks: mem::take(&mut state.new_marks),
            versions: state.versions(),
        });
        push(&mut state.history, Some(snapshot.totals.clone()), MAX_HISTORY);
        push(&mut state.pairs, snapshot.pairs.iter().copied(), MAX_PAIRS);
        state.observed.interval.clear();
        state.snapshot = Some(snapshot);
        if self.events.receiver_count() > 0 {
            self.events.send_replace(state.event());
        }
    }

    /// What was seen, up to a moment ago.
    pub(super) fn up_to_date(&self) -> MutexGuard<'_, State> {
        let now = self.clock.now();
        self.read_at.store(now.as_nanos(), Ordering::Relaxed);
        let mut state = self.state.lock();
        if state.drained + FRESH <= now {
            self.drain(&mut state, now);
        }
        state
    }

    fn drain(&self, state: &mut State, now: Moment) {
        self.observatory.drain(&mut state.observed, now);
        state.drained = now;
    }

    /// The latest event, and those that follow.
    pub(super) fn events(&self) -> (Bytes, watch::Receiver<Bytes>) {
        let mut state = self.up_to_date();
        let receiver = self.events.subscribe();
        (state.event(), receiver)
    }

    /// Puts a mark into the curves.
    pub(super) fn mark(&self, text: String) {
        let mark = Mark { at: unix(&self.clock, self.clock.now()), text };
        let mut state = self.state.lock();
        push(&mut state.marks, Some(mark.clone()), MAX_MARKS);
        if state.new_marks.len() < MAX_MARKS {
            state.new_marks.push(mark);
        }
    }

    fn count_instances(&self, state: &State, now: Moment) -> InstanceCounts {
        let all: usize = self.fleet.workers.iter().map(|worker| worker.usage().instances).sum();
        let read_at = Moment::from_nanos(self.read_at.load(Ordering::Relaxed));
        if all <= FEW_INSTANCES || now - read_at < READ || self.events.receiver_count() > 0 {
            self.fleet.count_instances(&state.observed.totals, now)
        } else {
            InstanceCounts::default()
        }
    }
}

impl State {
    pub(super) fn versions(&self) -> Versions {
        Versions {
            functions_version: self.observed.totals.version,
            calls_version: self.observed.notable.version,
            faults_version: self.faults_version,
        }
    }

    /// The latest snapshot as the stream sends it; nothing before the first one.
    fn event(&mut self) -> Bytes {
        let Some(snapshot) = &self.snapshot else { return Bytes::new() };
        let (number, event) = &mut self.event;
        if *number != self.number {
            let json = serde_json::to_string(snapshot).unwrap_or_default();
            *event = format!("event: snapshot\nid: {}\ndata: {json}\n\n", self.number).into();
            *number = self.number;
        }
        event.clone()
    }
}

/// Adds what is new, and forgets the oldest of too many.
fn push<T>(all: &mut VecDeque<T>, new: impl IntoIterator<Item = T>, most: usize) {
    all.extend(new);
    let surplus = all.len().saturating_sub(most);
    all.drain(..surplus);
}
