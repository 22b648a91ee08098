use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use hyperfake_predictor::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::{
    Plan, Processes, Subject,
    caller::{Caller, Ended},
    cgroup::Cgroup,
    process::Process,
    rows::{Call, Measured},
    share::Span,
    usage::Sampler,
};
use crate::{
    client::{Peer, Target},
    clock::{Clock, Moment},
    record::nanoseconds,
};

/// Instances of a function, and the calls that were made of them.
pub struct Session {
    pub(super) plan: Arc<Plan>,
    pub(super) clock: Clock,
    /// When it began: all times are counted from there.
    pub(super) origin: Moment,
    pub(super) instances: Vec<Instance>,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: CancellationToken,
    /// Why it ended early.
    pub(super) stopped: Option<Error>,
    pub(super) notes: Vec<String>,
    /// When each phase began.
    pub(super) began: Vec<Moment>,
    sampler: Sampler,
    cold_starts: Vec<Duration>,
    /// The instances that there were, by number; those that have ended included.
    labels: Vec<String>,
    /// The numbers of those that the sampler knows.
    metered: Vec<Option<usize>>,
}

/// What calls write.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) calls: Mutex<Vec<Call>>,
    pub(super) made: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Calls that found nothing that answers, since the last one that did.
    pub(super) unanswered: AtomicU32,
    /// What the last call that failed was told.
    pub(super) last_failure: Mutex<String>,
}

/// An instance that takes calls.
#[derive(Clone)]
pub(super) struct Instance {
    pub(super) number: usize,
    pub(super) caller: Arc<Caller>,
    /// Places for calls, if they are limited.
    pub(super) places: Option<Arc<Semaphore>>,
    process: Option<Arc<Mutex<Process>>>,
}

impl Instance {
    /// How its process ended, if it has.
    pub(super) fn how_it_ended(&self) -> Option<String> {
        self.process.as_ref()?.lock().how_it_ended()
    }
}

fn stopped_before() -> Error {
    Error::new(ErrorKind::Cancelled, "stopped by a signal before anything was measured")
}

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;

impl Session {
    /// Starts the processes, or connects to what runs, and makes a first call of each.
    ///
    /// # Errors
    ///
    /// When a process does not start, or a first call is not answered, and `Cancelled` when it is stopped
    /// before.
    pub async fn start(plan: Plan, clock: &Clock, stop: &CancellationToken) -> Result<Self> {
        // What was started ends with the session that is dropped.
        let started = stop.run_until_cancelled(Self::started(plan, clock, stop)).await;
        started.unwrap_or_else(|| Err(stopped_before()))
    }

    async fn started(plan: Plan, clock: &Clock, stop: &CancellationToken) -> Result<Self> {
        let origin = clock.now();
        let mut session = Self {
            plan: Arc::new(plan),
            clock: clock.clone(),
            origin,
            instances: Vec::new(),
            shared: Arc::default(),
            stop: stop.clone(),
            stopped: None,
            notes: Vec::new(),
            began: Vec::new(),
            sampler: Sampler::start(origin)?,
            cold_starts: Vec::new(),
            labels: Vec::new(),
            metered: Vec::new(),
        };
        let plan = Arc::clone(&session.plan);
        match &plan.subject {
            Subject::Running(target) => session.connect(target).await?,
            Subject::Processes(processes) => {
                for _ in 0..plan.cold_starts {
                    let instance = session.spawn(processes).await?;
                    session.end(instance).await;
                }
                for _ in 0..processes.instances {
                    let instance = session.spawn(processes).await?;
                    session.instances.push(instance);
                }
            }
        }
        Ok(session)
    }

    /// How many bodies there are to choose from.
    #[must_use]
    pub fn bodies(&self) -> usize {
        self.plan.bodies.len()
    }

    /// From now on, as long is cut off the beginning of each phase.
    pub fn set_warm_up(&mut self, warm_up: Duration) {
        let plan = Plan { warm_up, ..Plan::clone(&self.plan) };
        self.plan = Arc::new(plan);
    }

    /// How many calls a second it answers when as many as the machine has cores, twice, are always under
    /// way, for each instance that many places at most.
    ///
    /// # Errors
    ///
    /// When no call succeeds, and `Cancelled` when it is stopped.
    pub async fn capacity(&self, body: usize, time: Duration) -> Result<f64> {
        let found = self.stop.run_until_cancelled(self.found_capacity(body, time)).await;
        found.unwrap_or_else(|| Err(stopped_before()))
    }

    async fn found_capacity(&self, body: usize, time: Duration) -> Result<f64> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let began = self.clock.now();
        let until = began + time;
        let mut callers = JoinSet::new();
        for number in 0..2 * cores {
            let instance = self.instances[number % self.instances.len()].clone();
            let (plan, clock) = (Arc::clone(&self.plan), self.clock.clone());
            callers.spawn(async move {
                let (mut answered, mut failure) = (0u64, None);
                while clock.now() < until {
                    let _place = match &instance.places {
                        Some(places) => places.acquire().await.ok(),
                        None => None,
                    };
                    let ended = instance.caller.call(body, 0, plan.deadline).await;
                    if ended.code != Code::Ok {
                        failure = Some(ended);
                        break;
                    }
                    answered += 1;
                }
                (answered, failure)
            });
        }
        let (mut answered, mut failure) = (0, None);
        while let Some(joined) = callers.join_next().await {
            let (more, failed) = joined
                .map_err(|error| Error::internal("a caller ended early").with_source(error))?;
            answered += more;
            failure = failure.or(failed);
        }
        match failure {
            Some(failure) if answered == 0 => Err(self.refused(&failure)),
            _ => Ok(answered as f64 / (self.clock.now() - began).as_secs_f64()),
        }
    }

    /// Ends the instances, and says what was measured.
    pub async fn finish(mut self) -> Measured {
        for instance in std::mem::take(&mut self.instances) {
            self.end(instance).await;
        }
        let epoch_ns = nanoseconds(self.clock.since_epoch(self.origin));
        let began = self.began.iter().map(|began| epoch_ns + self.since(*began)).collect();
        let calls = std::mem::take(&mut *self.shared.calls.lock());
        let samples = self.sampler.finish();
        Measured {
            began_unix_ns: began,
            cold_starts: self.cold_starts,
            notes: self.notes,
            stopped: self.stopped,
            ..Measured::of(&self.plan, epoch_ns, &self.labels, &self.metered, &samples, &calls)
        }
    }

    /// The moment, in nanoseconds since the session's beginning.
    pub(super) fn since(&self, moment: Moment) -> u64 {
        nanoseconds(moment - self.origin)
    }

    async fn connect(&mut self, target: &Target) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let caller = Caller::open(target, &plan.protocol, &plan.bodies, &self.clock).await;
        let caller = caller.map_err(|error| error.at("--target"))?;
        let ended = caller.call(0, 0, plan.deadline).await;
        if ended.code != Code::Ok {
            return Err(self.refused(&ended));
        }
        self.labels.push(target.address.clone());
        self.metered.push(None);
        let places = plan.concurrency.map(|places| Arc::new(Semaphore::new(places as usize)));
        let caller = Arc::new(caller);
        self.instances.push(Instance { number: 0, caller, places, process: None });
        Ok(())
    }

    /// Starts a process, waits until it is ready, and calls it once: that is its cold call.
    async fn spawn(&mut self, processes: &Processes) -> Result<Instance> {
        let plan = Arc::clone(&self.plan);
        let number = self.labels.len();
        let cgroup = self.cgroup(processes, number);
        let asked = self.clock.now();
        let mut process = Process::start(processes, &plan.name, cgroup, &self.clock).await?;
        let cgroup = process.cgroup().cloned();
        let metered = self.sampler.add(process.id(), cgroup, self.origin);
        process.ready(&self.clock, processes.ready).await?;
        let ready = self.clock.now();
        let target = Target {
            peer: Peer::Leaf,
            address: process.address().to_string(),
            tls: None,
            max_message_bytes: MAX_ANSWER,
            deadline: plan.deadline,
        };
        let caller = Caller::open(&target, &plan.protocol, &plan.bodies, &self.clock).await?;
        let began = self.clock.now();
        let ended = caller.call(0, 0, plan.deadline).await;
        if ended.code != Code::Ok {
            let how = process.how_it_ended_in_full(&self.clock).await;
            let error = self.refused(&ended);
            return Err(match how {
                Some(how) => Error::unavailable(format!("the command {how}")).at("--exec"),
                None => error,
            });
        }
        let cold_start = ready - asked;
        let call = Call {
            instance: number,
            instances: self.instances.len() as u64 + 1,
            cold_start_ns: Some(nanoseconds(cold_start)),
            // Connecting is no part of its run: later calls do without it.
            arrived_ns: self.since(began) - nanoseconds(cold_start),
            queue_ns: 0,
            span: Span { began_ns: self.since(began), ended_ns: self.since(self.clock.now()) },
            phase: None,
            warm_up: false,
            body: 0,
            code: ended.code,
            said: ended.instance,
            lag_ns: 0,
        };
        self.shared.calls.lock().push(call);
        self.cold_starts.push(cold_start);
        self.labels.push(number.to_string());
        self.metered.push(Some(metered));
        let places = plan.concurrency.map(|places| Arc::new(Semaphore::new(places as usize)));
        let process = Some(Arc::new(Mutex::new(process)));
        Ok(Instance { number, caller: Arc::new(caller), places, process })
    }

    /// A control group with the limits, where that is possible; where not, a note says so.
    fn cgroup(&mut self, processes: &Processes, number: usize) -> Option<Cgroup> {
        let limits = &processes.limits;
        if !limits.any() {
            return None;
        }
        match Cgroup::new(number, limits) {
            Ok(cgroup) => Some(cgroup),
            Err(why) => {
                if self.notes.is_empty() {
                    self.notes.push(format!("--cpus and --memory have no effect: {why}"));
                }
                None
            }
        }
    }

    async fn end(&mut self, instance: Instance) {
        let Instance { number, process, caller, .. } = instance;
        drop(caller);
        if let Some(metered) = self.metered[number] {
            self.sampler.remove(metered, self.origin);
        }
        if let Some(process) = process.and_then(Arc::into_inner) {
            process.into_inner().stop(&self.clock).await;
        }
    }

    fn refused(&self, ended: &Ended) -> Error {
        let Ended { code, text, .. } = ended;
        let code = crate::wire::code_name(*code);
        let flag = match self.plan.subject {
            Subject::Processes(_) => "--exec",
            Subject::Running(_) => "--target",
        };
        let text = if text.is_empty() { String::new() } else { format!(": {text}") };
        Error::unavailable(format!("a first call ended with {code}{text}")).at(flag)
    }
}

impl Shared {
    /// Counts a call that ended.
    pub(super) fn count(&self, ended: &Ended) {
        self.made.fetch_add(1, Ordering::Relaxed);
        match ended.code {
            Code::Ok => self.unanswered.store(0, Ordering::Relaxed),
            code => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                *self.last_failure.lock() =
                    format!("{}: {}", crate::wire::code_name(code), ended.text);
                if matches!(code, Code::Unavailable | Code::DeadlineExceeded) {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("plan", &self.plan).finish_non_exhaustive()
    }
}
