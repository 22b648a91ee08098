//! A replay in virtual time: the worker of `hyperfake server` in this process, and instead of a leaf the
//! policy of [`Instances`].
//!
//! The calls are no tasks of the runtime: this loop keeps their futures in places that are used again and
//! polls them itself, so that a call needs no memory of its own and the runtime is left alone. The
//! instances' own lives are tasks, as they are in the server.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use hyperfake_predictor::{Error, Result};
use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio_util::sync::{CancellationToken, ReusableBoxFuture};

use super::{instances::Instances, sink::RowSink, virtual_worker};
use crate::{
    args::ReplayArgs,
    clock::{Clock, Moment, Steps, precise},
    commands::interrupt,
    record::InstanceId,
    report::{Progress, Replayed, Verdict},
    trace::{Call, Workload, models::Defaults},
    worker::{self, EventKind, Executor, Instance, Observer, Outcome, Sessions, Worker},
};

/// Replays, in a runtime of its own.
pub(super) fn replay(
    args: &ReplayArgs,
    work: &Arc<Workload>,
    defaults: &Defaults,
    requested: u64,
) -> Result<Replayed> {
    let mut builder = Builder::new_current_thread();
    let steps = Steps::new(&mut builder);
    let runtime = builder.build();
    let runtime =
        runtime.map_err(|error| Error::internal("cannot start the runtime").with_source(error))?;
    let record = args.record.as_deref().map(|path| RowSink::open(path, steps.clock())).transpose();
    let record = record.map_err(|error| error.at("--record"))?;
    let ended = Arc::new(Ended::default());
    let worker = virtual_worker::build(args, work, defaults, &steps.clock(), &record, &ended)?;
    let limit = args.limits.max_concurrency.unwrap_or(MAX_CONCURRENCY).unsigned_abs();
    let stop = interrupt::stop_by_signal_on_a_thread();
    let stop =
        stop.map_err(|error| Error::internal("cannot wait for signals").with_source(error))?;
    let run = Run::new(steps, worker, work, ended, limit);
    let began = precise::now();
    let ended = runtime.block_on(runtime.spawn(run.all(Arc::clone(work), requested, stop)));
    let took = precise::now() - began;
    let totals =
        ended.map_err(|error| Error::internal("the replay ended early").with_source(error))?;
    if let Some(record) = record {
        record.finish().map_err(|error| error.at("--record"))?;
    }
    let failed = totals.errors.values().sum::<u64>();
    Ok(Replayed {
        issued: totals.answered + failed,
        answered: totals.answered,
        mean_run_time_ns: (totals.answered > 0).then(|| totals.run_ns / totals.answered as f64),
        cold_calls: Some(totals.cold),
        instances: Some(totals.instances),
        most_at_once: Some(totals.most_at_once),
        stopped: totals.stopped,
        took_s: took.as_secs_f64(),
        verdict: Verdict::of(totals.answered + failed, requested)
            .and(Verdict::of(totals.answered, totals.answered + failed)),
        errors: totals.errors,
        ..Replayed::default()
    })
}

/// The platform's own limit where a function states none.
const MAX_CONCURRENCY: i32 = 500;

/// The instances that take no more calls, until the loop has seen them.
#[derive(Debug, Default)]
pub(super) struct Ended(Mutex<Vec<InstanceId>>);

impl Observer for Ended {
    fn instance_changed(&self, kind: EventKind, instance: &Instance, _at: Moment) {
        match kind {
            EventKind::Start | EventKind::Running | EventKind::Call | EventKind::Response => {}
            EventKind::Stop | EventKind::Timeout | EventKind::Down | EventKind::Killed => {
                self.0.lock().push(instance.id);
            }
        }
    }
}

/// The loop.
struct Run {
    steps: Steps,
    clock: Clock,
    worker: Arc<Worker>,
    executor: Arc<Executor>,
    /// The functions' ids.
    ids: Vec<Arc<str>>,
    instances: Instances,
    ended: Arc<Ended>,
    places: Vec<Place>,
    /// Those without a call.
    free: Vec<u32>,
    woken: Arc<Woken>,
    at_once: u64,
    /// Whether a task of the runtime may have been woken.
    is_unsettled: bool,
    totals: Totals,
}

/// Where a call is.
struct Place {
    call: ReusableBoxFuture<'static, Result<Outcome>>,
    waker: Waker,
    instance: u32,
    is_taken: bool,
}

/// The places whose calls go on.
#[derive(Debug, Default)]
struct Woken(Mutex<VecDeque<u32>>);

struct PlaceWaker {
    woken: Arc<Woken>,
    place: u32,
}

impl Wake for PlaceWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.0.lock().push_back(self.place);
    }
}

/// What the calls come to.
#[derive(Debug, Default)]
struct Totals {
    answered: u64,
    errors: BTreeMap<String, u64>,
    run_ns: f64,
    cold: u64,
    instances: u64,
    most_at_once: u64,
    /// Whether calls are left that were not made.
    stopped: bool,
}

/// After so many calls other tasks have their turn, whether or not one is known to have been woken.
const TURN: u64 = 256;
/// After so many calls it is shown how far the replay is.
const SHOWN: u64 = 1 << 14;
/// How often the worker looks after what has expired.
const HOUSEKEEPING_NS: u64 = 60_000_000_000;

impl Run {
    fn new(
        steps: Steps,
        worker: Arc<Worker>,
        work: &Workload,
        ended: Arc<Ended>,
        limit: u32,
    ) -> Self {
        let clock = steps.clock();
        let sessions = Sessions::of(worker.catalog());
        let executor = Arc::new(Executor::new(Arc::clone(&worker), clock.clone(), sessions));
        Self {
            steps,
            clock,
            worker,
            executor,
            ids: work.functions.iter().map(|function| function.image.as_str().into()).collect(),
            instances: Instances::new(work.functions.len(), limit),
            ended,
            places: Vec::new(),
            free: Vec::new(),
            woken: Arc::default(),
            at_once: 0,
            is_unsettled: false,
            totals: Totals::default(),
        }
    }

    /// Makes all calls, or those until it is stopped, and waits until they have ended.
    async fn all(mut self, work: Arc<Workload>, requested: u64, stop: CancellationToken) -> Totals {
        let began = self.clock.now();
        let progress = Progress::new("replay", requested);
        let mut housekeeping = HOUSEKEEPING_NS;
        for (number, call) in (0_u64..).zip(work.arrivals()) {
            if number.is_multiple_of(TURN) && stop.is_cancelled() {
                self.totals.stopped = true;
                break;
            }
            if call.at_ns >= housekeeping {
                self.worker.housekeeping(self.clock.now(), &self.clock);
                housekeeping = call.at_ns + HOUSEKEEPING_NS;
                self.is_unsettled = true;
            }
            self.until(began + Duration::from_nanos(call.at_ns)).await;
            self.begin(call).await;
            if number.is_multiple_of(TURN) {
                self.is_unsettled = true;
            }
            if number.is_multiple_of(SHOWN) {
                progress.set(number);
            }
        }
        while self.at_once > 0 {
            match self.steps.next() {
                Some(next) => self.until(next).await,
                // A call waits for something that is no sleep, which only a task can bring about.
                None => {
                    self.is_unsettled = true;
                    self.go_on().await;
                    if self.steps.next().is_none() && self.woken.0.lock().is_empty() {
                        break;
                    }
                }
            }
        }
        let lost = std::mem::take(&mut self.at_once);
        if lost > 0 {
            *self.totals.errors.entry("Lost".to_owned()).or_default() += lost;
        }
        progress.finish();
        self.totals
    }

    /// Lets time pass until then.
    async fn until(&mut self, moment: Moment) {
        while self.steps.step(moment) {
            if self.woken.0.lock().is_empty() {
                self.is_unsettled = true;
            }
            self.go_on().await;
        }
    }

    /// Lets the calls go on that can, and the other tasks if that may be needed.
    async fn go_on(&mut self) {
        loop {
            while let Some(place) = self.next_woken() {
                self.poll(place);
            }
            if !std::mem::take(&mut self.is_unsettled) {
                return;
            }
            self.steps.settle().await;
            let ended = std::mem::take(&mut *self.ended.0.lock());
            ended.into_iter().for_each(|id| self.instances.end(id));
        }
    }

    fn next_woken(&self) -> Option<u32> {
        self.woken.0.lock().pop_front()
    }

    /// Begins a call: on an instance with room, or on one that is started for it.
    async fn begin(&mut self, call: Call) {
        let Call { function, .. } = call;
        let id = &self.ids[function as usize];
        let (instance, instance_id) = match self.instances.take(function) {
            Some(found) => found,
            None => {
                let started = self.worker.start(id, &self.clock).await;
                let started = match started {
                    Ok(started) => started,
                    Err(error) => return self.totals.failed(&error),
                };
                self.totals.instances += 1;
                self.is_unsettled = true;
                (self.instances.add(function, started.id), started.id)
            }
        };
        let future = make(Arc::clone(&self.executor), Arc::clone(id), instance_id);
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place as usize].call.set(future);
                place
            }
            None => {
                let place = self.places.len() as u32;
                let waker = PlaceWaker { woken: Arc::clone(&self.woken), place };
                self.places.push(Place {
                    call: ReusableBoxFuture::new(future),
                    waker: Arc::new(waker).into(),
                    instance,
                    is_taken: true,
                });
                place
            }
        };
        let taken = &mut self.places[place as usize];
        (taken.instance, taken.is_taken) = (instance, true);
        self.at_once += 1;
        self.totals.most_at_once = self.totals.most_at_once.max(self.at_once);
        self.poll(place);
        self.go_on().await;
    }

    fn poll(&mut self, place: u32) {
        let Place { call, waker, is_taken, instance } = &mut self.places[place as usize];
        // It may have been woken twice.
        if !*is_taken {
            return;
        }
        let Poll::Ready(ended) = call.poll(&mut Context::from_waker(waker)) else { return };
        *is_taken = false;
        self.instances.give_back(*instance);
        self.free.push(place);
        self.at_once -= 1;
        match ended {
            Ok(outcome) => self.totals.ended(&outcome),
            Err(error) => {
                self.totals.failed(&error);
                // An instance may have died with it.
                self.is_unsettled = true;
            }
        }
    }
}

impl Totals {
    fn ended(&mut self, outcome: &Outcome) {
        self.answered += 1;
        self.run_ns += outcome.prediction.runtime.as_nanos() as f64;
        self.cold += u64::from(!outcome.cold_start.is_zero());
    }

    fn failed(&mut self, error: &Error) {
        *self.errors.entry(format!("{:?}", error.kind())).or_default() += 1;
    }
}

/// A call, as its own future: each has the same type, and so the same size.
async fn make(
    executor: Arc<Executor>,
    function: Arc<str>,
    instance: InstanceId,
) -> Result<Outcome> {
    let (function, instance) = (&*function, Some(instance));
    let call = worker::Call { function, instance, data: Bytes::new(), fault: None };
    executor.call(call).await
}
