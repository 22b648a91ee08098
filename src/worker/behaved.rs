//! What a call does beside when its function has a behaviour: it takes a place in its instance, shares the
//! CPU, and is cut short or fails.

use std::sync::Arc;

use hyperfake_predictor::{Error, ErrorKind, Prediction, Result};

use super::{
    Instance, Worker,
    gate::State,
    in_flight::InFlightCall,
    instance::Death,
    occupancy::Occupied,
    places::{Place, PlaceLimits, QueuePlace},
};
use crate::{
    clock::{Clock, Moment},
    scenario::{
        self, Behaviour, CallInput, Cause, Contention, End, InstanceView, Kill, Plan, StatusCode,
    },
};

/// What a call has beside. What others wait for comes last: it is given back last.
#[derive(Debug)]
pub(super) struct Behaved {
    behaviour: Arc<Behaviour>,
    /// What its client asks to go wrong.
    fault: Option<Box<str>>,
    /// What it does from when it runs on.
    plan: Option<Plan>,
    occupied: Option<Occupied>,
    queued: Option<QueuePlace>,
    place: Option<Place>,
    /// When it had that.
    placed_at: Moment,
}

/// A call finds a free place if there is one in so many instances, from the one whose turn it is: a busy
/// function may have thousands.
const LOOKED_AT: usize = 64;

/// `UNKNOWN`: what a function answers with whose own code fails.
const UNKNOWN: u8 = 2;

/// What ends a wait.
pub(super) enum Stop {
    /// What was waited for is there.
    Reached,
    /// The time limit.
    TooLong,
    /// The instance died.
    Dead(Death),
    /// The instance ends, or the worker.
    Closed,
}

impl Behaved {
    pub(super) fn placed_at(&self) -> Moment {
        self.placed_at
    }

    /// Why its call ended as it did, if it did not fail.
    pub(super) fn reason(&self) -> Cause {
        self.plan.as_ref().map_or(Cause::None, |plan| plan.reason.clone())
    }
}

impl InFlightCall<'_> {
    /// The call behaves like this; the client asks for a fault.
    pub(super) fn behave(&mut self, behaviour: Arc<Behaviour>, fault: Option<Box<str>>) {
        self.behaved = Some(Box::new(Behaved {
            behaviour,
            fault,
            plan: None,
            occupied: None,
            queued: None,
            place: None,
            placed_at: self.arrived,
        }));
    }

    /// Takes a place of the instance if their number is limited: to run, or else in the queue, in which
    /// case the call has to [`InFlightCall::queue`]. One that may run on any instance takes the place to
    /// run of another one first.
    ///
    /// # Errors
    ///
    /// `Exhausted`, or what the behaviour says, when the queue is full.
    pub(super) fn has_to_queue(&mut self, any_instance: bool) -> Result<bool> {
        if self.arrived >= self.instance.ready_at {
            self.check_started()?;
        }
        let Some(behaved) = &mut self.behaved else { return Ok(false) };
        let Some(concurrency) = behaved.behaviour.concurrency else { return Ok(false) };
        let depth = behaved.behaviour.queue.depth;
        let limits = PlaceLimits { concurrency: concurrency.max(1), depth };
        let others = any_instance.then(|| Arc::clone(&self.instance.home));
        let others = others.as_ref().map(|home| &home.instances);

        behaved.place = self.instance.occupancy().take(limits);
        if behaved.place.is_some() {
            return Ok(false);
        }
        let take = |instance: &Instance| instance.occupancy().take(limits);
        let free = others.and_then(|others| others.enter_with(self.clock, LOOKED_AT, take));
        if let Some((instance, place)) = free {
            (self.instance, behaved.place) = (instance, Some(place));
            return Ok(false);
        }
        behaved.queued = self.instance.occupancy().queue(limits);
        if behaved.queued.is_some() {
            return Ok(true);
        }
        let queue = |instance: &Instance| instance.occupancy().queue(limits);
        let room = others.and_then(|others| others.enter_with(self.clock, usize::MAX, queue));
        if let Some((instance, queued)) = room {
            (self.instance, behaved.queued) = (instance, Some(queued));
            return Ok(true);
        }
        let message = format!(
            "the queue of the instance '{}' is full: {concurrency} calls run, and {depth} wait",
            self.instance.id
        );
        Err(self.overloaded(message, Cause::Overload))
    }

    /// Waits in the queue of the instance.
    ///
    /// # Errors
    ///
    /// As for a full queue, after the queue's time limit; `Unavailable` when the instance dies.
    pub(super) async fn queue(&mut self) -> Result<()> {
        let (clock, instance) = (self.clock, Arc::clone(&self.instance));
        let Some(behaved) = &mut self.behaved else { return Ok(()) };
        let Some(queued) = behaved.queued.take() else { return Ok(()) };
        let limit = behaved.behaviour.queue.timeout;
        // What is left of a cold start is no time in the queue.
        let since = self.arrived.max(instance.ready_at);
        let stop = tokio::select! {
            biased;
            // First: the calls that die with it leave their places.
            death = instance.dead() => Stop::Dead(death),
            place = queued.place() => {
                (behaved.place, behaved.placed_at) = (Some(place), clock.now());
                Stop::Reached
            }
            () = until(clock, limit.map(|limit| since + limit)) => Stop::TooLong,
        };
        match stop {
            Stop::Reached | Stop::Closed => Ok(()),
            Stop::Dead(death) => Err(self.dies(death)),
            Stop::TooLong => {
                let limit = limit.unwrap_or_default();
                let message =
                    format!("waited for {limit:?} in the queue of the instance '{}'", instance.id);
                Err(self.overloaded(message, Cause::QueueTimeout))
            }
        }
    }

    /// Fails if its instance failed to start.
    pub(super) fn check_started(&mut self) -> Result<()> {
        match self.instance.start_failed() {
            None => Ok(()),
            Some((error, reason)) => {
                self.fail(error.kind(), reason);
                Err(error)
            }
        }
    }

    /// Plans what it does. It is then among the calls that run on its instance.
    pub(super) fn plan_behaviour(&mut self, prediction: &Prediction) -> Prediction {
        let (Some(behaved), Some(began), Some(features)) =
            (&mut self.behaved, self.began, &self.features)
        else {
            return *prediction;
        };
        let instance = &*self.instance;
        let function = instance.function();
        let mut occupied = Occupied::new(instance);
        let plan = scenario::plan(&CallInput {
            behaviour: Some(&behaved.behaviour),
            function: &function.spec,
            features,
            prediction,
            draws: function.draws,
            number: self.number,
            instance: InstanceView {
                number: instance.number,
                speed: instance.speed(),
                age: began - instance.ready_at,
                ram_in_use: occupied.ram_in_use,
                running: occupied.others,
            },
            since_start: began - self.worker.scenario.since(),
            fault_header: behaved.fault.as_deref(),
        });
        occupied.hold(plan.ram_bytes);
        behaved.occupied = Some(occupied);
        let (runtime, cpu_cores, ram_bytes) = (plan.run_time, plan.cpu_cores, plan.ram_bytes);
        behaved.plan = Some(plan);
        Prediction { runtime, cpu_cores, ram_bytes }
    }

    /// Whether it has nothing to wait for: it takes no time.
    pub(super) fn is_over(&self) -> bool {
        let plan = self.behaved.as_ref().and_then(|behaved| behaved.plan.as_ref());
        plan.is_none_or(|plan| plan.run_time.is_zero() && !matches!(plan.end, End::Hang))
    }

    /// Runs to the end of its plan, or to what stops it before.
    pub(super) async fn carry_out(&self) -> Stop {
        let (worker, clock, instance) = (self.worker, self.clock, &*self.instance);
        let began = self.began.unwrap_or(self.arrived);
        let Some(behaved) = &self.behaved else { return Stop::Reached };
        let Some(plan) = &behaved.plan else { return Stop::Reached };
        let limit = behaved.behaviour.timeout;
        let run = async {
            if plan.end == End::Hang {
                closed(worker, instance).await;
                return Stop::Closed;
            }
            worker.run_on_cpu(clock, began, plan).await;
            Stop::Reached
        };
        tokio::select! {
            biased;
            stop = run => stop,
            death = instance.dead() => Stop::Dead(death),
            () = until(clock, limit.map(|limit| began + limit)) => Stop::TooLong,
        }
    }

    /// Ends it, and returns when it ended and, if the function's own code fails, with which text.
    ///
    /// # Errors
    ///
    /// What the plan says; `Timeout` at the time limit, `Unavailable` when the instance died.
    pub(super) fn end(&mut self, stop: Stop) -> Result<(Moment, Option<Arc<str>>)> {
        let (worker, ended, instance) = (self.worker, self.clock.now(), &*self.instance);
        let Some(behaved) = &self.behaved else { return Ok((ended, None)) };
        let Some(plan) = &behaved.plan else { return Ok((ended, None)) };
        let (end, reason) = match stop {
            Stop::Reached if plan.end == End::Answer => return Ok((ended, None)),
            Stop::Reached => (plan.end.clone(), plan.reason.clone()),
            Stop::TooLong => (End::Status(StatusCode::DEADLINE_EXCEEDED), Cause::TimeLimit),
            // Its instance ended, or the worker.
            Stop::Closed => (End::Hang, plan.reason.clone()),
            Stop::Dead(death) => return Err(self.dies(death)),
        };
        let limit = behaved.behaviour.timeout.unwrap_or_default();
        let error = match end {
            End::Answer => return Ok((ended, None)),
            End::Error(text) => {
                self.fail(ErrorKind::Injected(UNKNOWN), reason);
                return Ok((ended, Some(text)));
            }
            End::Status(_) if reason == Cause::TimeLimit => {
                let message = format!("the call ran for {limit:?}, the time limit of the function");
                Error::new(ErrorKind::Timeout, message)
            }
            End::Status(code) => {
                let message = format!("the call ends with {code}, as the scenario says ({reason})");
                Error::new(ErrorKind::Injected(code.number()), message)
            }
            End::Kill(kill) => {
                let death = match kill {
                    Kill::Crash => Death::Crash,
                    Kill::OutOfMemory => Death::OutOfMemory,
                };
                worker.kill(instance, death, ended);
                died(instance, death)
            }
            End::DropConnection => Error::new(ErrorKind::Dropped, "the connection is closed"),
            End::Refused(text) => Error::invalid(&*text),
            End::Hang => instance.ended(),
        };
        self.fail(error.kind(), reason);
        Err(error)
    }

    fn dies(&mut self, death: Death) -> Error {
        let reason = match death {
            Death::Crash => Cause::Crash,
            Death::OutOfMemory => Cause::OutOfMemory,
            Death::StartFailed => match self.check_started() {
                Err(error) => return error,
                Ok(()) => Cause::StartFailed,
            },
        };
        self.fail(ErrorKind::Unavailable, reason);
        died(&self.instance, death)
    }

    fn overloaded(&mut self, message: String, reason: Cause) -> Error {
        let code = self.behaved.as_ref().map(|behaved| behaved.behaviour.overload);
        let kind = match code {
            None | Some(StatusCode::RESOURCE_EXHAUSTED) => ErrorKind::Exhausted,
            Some(code) => ErrorKind::Injected(code.number()),
        };
        self.fail(kind, reason);
        Error::new(kind, message)
    }
}

impl Worker {
    /// Lets a call run that began then: as if it were alone, or sharing the worker's CPU.
    async fn run_on_cpu(&self, clock: &Clock, began: Moment, plan: &Plan) {
        let (cpu, cores) = (&self.cpu, plan.cpu_cores);
        match cpu.contention() {
            Contention::None => clock.sleep_until(began + plan.run_time).await,
            contention => cpu.share(clock, contention, began, plan.run_time, cores).await,
        }
    }
}

fn died(instance: &Instance, death: Death) -> Error {
    Error::unavailable(match death {
        Death::Crash => format!("the instance '{}' crashed", instance.id),
        Death::OutOfMemory => format!("the instance '{}' ran out of memory", instance.id),
        Death::StartFailed => format!("the instance '{}' failed to start", instance.id),
    })
}

/// Waits until this moment, if there is one.
async fn until(clock: &Clock, moment: Option<Moment>) {
    match moment {
        Some(moment) => clock.sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits until the instance or the worker takes no more calls.
async fn closed(worker: &Worker, instance: &Instance) {
    tokio::select! {
        _ = instance.closed() => {}
        _ = worker.gate.until(State::closed) => {}
    }
}
