use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use hyperfake_predictor::{Error, ErrorKind, Result};
use tokio::{runtime::Builder, sync::oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    Arrivals, Request, Sent, Starts, Target,
    driver::{Counters, Driver, Part},
};
use crate::clock::{Clock, Moment, precise};

/// Calls that are sent at given moments, whether or not earlier ones were answered, by several threads.
/// Each has a runtime, a clock and connections of its own, so that one waits for no other.
#[derive(Debug, Clone)]
pub struct Load {
    /// What is called.
    pub target: Target,
    /// A call of each function.
    pub requests: Vec<Request>,
    /// The connections of all threads, which are used in turn; at least as many as threads.
    pub connections: usize,
    /// The threads; at least one.
    pub threads: usize,
    /// The longest that each call may take.
    pub deadline: Duration,
    /// When calls are sent, and which.
    pub schedule: Arc<dyn Arrivals>,
    /// Whether each function is called once on each connection before.
    pub warm_up: bool,
    /// What lets calls of functions succeed that have no instance yet; without it they fail.
    pub starts: Option<Arc<Starts>>,
    /// Ends the run early: no more calls are sent, and those that were end soon.
    pub stop: CancellationToken,
}

/// What came of it.
#[derive(Debug)]
pub struct Loaded {
    /// The calls, in the order of their ends.
    pub calls: Vec<Sent>,
    /// When the run began, as the time since the Unix epoch.
    pub began: Duration,
    /// From the first intended moment to the end of the last call.
    pub took: Duration,
    /// The longest that a call of the warm-up waited for the rest of a cold start, for each function.
    pub waited: Vec<Duration>,
    /// Whether it was stopped before all calls were sent and had ended.
    pub stopped: bool,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Since its beginning.
    pub elapsed: Duration,
    /// Calls that were sent.
    pub sent: usize,
    /// Calls that have ended.
    pub ended: usize,
}

/// From the moment that all threads are ready until the first arrival: enough to wake them.
const HEAD_START: Duration = Duration::from_millis(10);
/// How often it is shown how far a run is.
const SHOWN: Duration = Duration::from_secs(1);

impl Load {
    /// Connects, and sends. `show` is told once a second how far it is.
    ///
    /// # Errors
    ///
    /// When a connection cannot be made, when a call of the warm-up fails, when the system gives no
    /// thread, and `Cancelled` when it is stopped before the first call. Later calls that fail are a part of the result.
    pub async fn run(self, clock: &Clock, mut show: impl FnMut(Progress)) -> Result<Loaded> {
        let load = Arc::new(self);
        let mut threads = Vec::new();
        for number in 0..load.threads {
            threads.push(Thread::start(&load, number)?);
        }
        let mut waited = vec![Duration::ZERO; load.requests.len()];
        for thread in &mut threads {
            let ready = tokio::select! {
                ready = &mut thread.ready => ready.map_err(|_| ended_early())??,
                () = load.stop.cancelled() => {
                    let message = "it was stopped before the first call";
                    return Err(Error::new(ErrorKind::Cancelled, message));
                }
            };
            waited.iter_mut().zip(ready).for_each(|(most, waited)| *most = waited.max(*most));
        }
        let began = clock.now() + HEAD_START;
        let counters: Vec<_> = threads.iter().map(|thread| Arc::clone(&thread.counters)).collect();
        let mut calls = Vec::new();
        let (mut took, mut stopped) = (Duration::ZERO, false);
        let mut shown = began + SHOWN;
        let running: Vec<_> = threads.into_iter().map(|thread| thread.begin(began)).collect();
        for mut running in running {
            let Part { calls: mut part, end, stopped: early } = loop {
                tokio::select! {
                    biased;
                    done = &mut running => break done.map_err(|_| ended_early())?,
                    () = clock.sleep_until(shown) => {
                        show(progress(&counters, shown - began));
                        shown += SHOWN;
                    }
                }
            };
            took = took.max(end - began);
            stopped |= early;
            calls.append(&mut part);
        }
        calls.sort_unstable_by_key(|call: &Sent| call.ended_ns);
        Ok(Loaded { calls, began: clock.since_epoch(began), took, waited, stopped })
    }
}

/// A thread that sends, and what it is told and tells.
struct Thread {
    ready: oneshot::Receiver<Result<Vec<Duration>>>,
    begin: oneshot::Sender<Moment>,
    done: oneshot::Receiver<Part>,
    counters: Arc<Counters>,
}

impl Thread {
    fn start(load: &Arc<Load>, number: usize) -> Result<Self> {
        let no_thread = |error| Error::unavailable("the system gives no thread").with_source(error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(no_thread)?;
        let (tell_ready, ready) = oneshot::channel();
        let (begin, begins) = oneshot::channel();
        let (tell_done, done) = oneshot::channel();
        let (load, counters) = (Arc::clone(load), Arc::new(Counters::default()));
        let counted = Arc::clone(&counters);
        let run = move || {
            runtime.block_on(async move {
                let (driver, waited) = match prepare(load, number).await {
                    Ok(ready) => ready,
                    Err(error) => {
                        _ = tell_ready.send(Err(error));
                        return;
                    }
                };
                // Without a listener, another thread's error has ended the run.
                if tell_ready.send(Ok(waited)).is_ok()
                    && let Ok(began) = begins.await
                {
                    _ = tell_done.send(driver.run(began, &counted).await);
                }
            });
            // A name that the system still looks up must not hold up the end.
            runtime.shutdown_background();
        };
        let named = thread::Builder::new().name(format!("load {number}"));
        named.spawn(run).map_err(no_thread)?;
        Ok(Self { ready, begin, done, counters })
    }

    fn begin(self, moment: Moment) -> oneshot::Receiver<Part> {
        // A thread that has ended is noticed by the receiver.
        _ = self.begin.send(moment);
        self.done
    }
}

async fn prepare(load: Arc<Load>, number: usize) -> Result<(Driver, Vec<Duration>)> {
    let driver = Driver::open(load, number, precise::start()).await?;
    let waited = driver.warm_up().await?;
    Ok((driver, waited))
}

fn progress(counters: &[Arc<Counters>], elapsed: Duration) -> Progress {
    let [mut sent, mut ended] = [0, 0];
    for one in counters {
        // In this order, so that no call has ended before it was sent.
        ended += one.ended.load(Ordering::Relaxed);
        sent += one.sent.load(Ordering::Relaxed);
    }
    Progress { elapsed, sent, ended }
}

fn ended_early() -> Error {
    Error::internal("a thread of the load ended early")
}
