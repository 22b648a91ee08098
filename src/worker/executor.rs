use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use hyperfake_predictor::{Features, Prediction, Result};

use super::{
    Instance, InstanceId, Sessions, Worker, answers::Method, behaved::Stop, in_flight::InFlightCall,
};
use crate::clock::{Clock, Moment};

/// Runs calls on one thread: the worker, with the thread's own clock and model sessions.
#[derive(Debug)]
pub struct Executor {
    worker: Arc<Worker>,
    clock: Clock,
    sessions: Arc<Sessions>,
}

/// A request to run a function.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The function's id.
    pub function: &'a str,
    /// The instance that should run it, if it is a live one of the function.
    pub instance: Option<InstanceId>,
    /// The request's body.
    pub data: Bytes,
    /// What the client asks to go wrong: see [`Executor::fault_asked`].
    pub fault: Option<Box<str>>,
}

/// What a call came to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// A function, and the instance that should run the call.
    Function(&'a str, Option<InstanceId>),
    /// An instance, which runs the call of this method or no other one does.
    Instance(&'a Arc<Instance>, &'a str),
}

/// The answer to a call.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The instance that ran the call.
    pub instance: InstanceId,
    /// The answer's body.
    pub data: Bytes,
    /// What the call took: as planned, and as it was done.
    pub prediction: Prediction,
    /// When the call came in.
    pub arrived: Moment,
    /// When it ended.
    pub ended: Moment,
    /// The part of it that was spent waiting for the instance's cold start.
    pub cold_start: Duration,
    /// The function's own code fails with this text, as the scenario says.
    pub failure: Option<Arc<str>>,
}

impl Executor {
    /// Call this on the thread that will run the calls, with the clock and the sessions of that
    /// thread. The sessions have to be for the worker's own catalog.
    #[must_use]
    pub fn new(worker: Arc<Worker>, clock: Clock, sessions: Arc<Sessions>) -> Self {
        Self { worker, clock, sessions }
    }

    /// The worker that this is a part of.
    #[must_use]
    pub fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    /// The thread's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What the headers of a request to a function ask to go wrong, if the scenario lets them; the
    /// closure looks a header up by its name.
    pub fn fault_asked<'h>(
        &self,
        function: &str,
        header: impl FnOnce(&str) -> Option<&'h [u8]>,
    ) -> Option<Box<str>> {
        if !self.worker.scenario.has_faults() {
            return None;
        }
        self.worker.directory.function(function)?.conduct.fault_asked(header)
    }

    /// The same of a request to an instance.
    pub fn fault_asked_of<'h>(
        &self,
        instance: &Instance,
        header: impl FnOnce(&str) -> Option<&'h [u8]>,
    ) -> Option<Box<str>> {
        instance.home.conduct.fault_asked(header)
    }

    /// Runs a call: takes as long as planned, and holds what was planned meanwhile. Dropping the
    /// future ends the call at once.
    ///
    /// # Errors
    ///
    /// `Exhausted` beyond the most calls at once, `NotFound` for a function that was not started
    /// here or has no live instance, `Unavailable` when the worker shuts down, whatever the
    /// model fails with, and what a scenario says.
    pub fn call<'a>(&'a self, call: Call<'a>) -> impl Future<Output = Result<Outcome>> + Send + 'a {
        let target = Target::Function(call.function, call.instance);
        self.run(target, call.data, call.fault, self.clock.now())
    }

    /// Runs a call of a method, `package.Service/Method`, that came to an instance's own address at this
    /// moment, on that instance.
    ///
    /// # Errors
    ///
    /// Those of [`Executor::call`], and `Unavailable` when the instance takes no more calls.
    pub fn call_on<'a>(
        &'a self,
        instance: &'a Arc<Instance>,
        method: &'a str,
        message: Bytes,
        fault: Option<Box<str>>,
        arrived: Moment,
    ) -> impl Future<Output = Result<Outcome>> + Send + 'a {
        self.run(Target::Instance(instance, method), message, fault, arrived)
    }

    /// One future for both: a future inside of another one is moved into it for each call. What only a
    /// behaviour of the function waits for is in a box, and what needs no wait is done elsewhere, so that
    /// a call without one stays small.
    #[expect(
        clippy::manual_async_fn,
        reason = "each call in flight has this future, and an async function's holds the arguments twice"
    )]
    fn run<'a>(
        &'a self,
        target: Target<'a>,
        mut request: Bytes,
        fault: Option<Box<str>>,
        arrived: Moment,
    ) -> impl Future<Output = Result<Outcome>> + Send + 'a {
        async move {
            let (worker, clock) = (&*self.worker, &self.clock);
            let refused = |error| worker.refused(&target, arrived, clock, error);
            let _admitted = worker.admit().map_err(refused)?;
            let (function, instance, method) = match target {
                Target::Function(id, asked) => {
                    let function = worker.function(id).map_err(refused)?;
                    let instance = worker.place(&function, asked, clock).map_err(refused)?;
                    (function, instance, Method::Call)
                }
                Target::Instance(instance, method) => {
                    let permit = instance.enter(clock).ok_or_else(|| refused(instance.ended()))?;
                    (Arc::clone(&instance.home), permit, Method::OfFunction(method))
                }
            };
            let request_bytes = request.len();
            // A call may run for minutes: what its answer does not need is dropped now.
            let answering = worker.answering(method, &function.info.model);
            if !answering.needs_request() {
                request = Bytes::new();
            }
            let mut running =
                InFlightCall::new(worker, clock, instance, arrived, function.number_call());

            if let Some(behaviour) = function.conduct.behaviour() {
                request = unshared(request);
                running.behave(behaviour, fault);
                if running.has_to_queue(method == Method::Call)? {
                    Box::pin(running.queue()).await?;
                }
            }
            if running.instance.ready_at > arrived {
                request = unshared(request);
                clock.sleep_until(running.instance.ready_at).await;
                running.check_started()?;
            }
            worker.announce(&running.instance);
            let active = function.load.enter();
            let began = running.begin();
            let features = Features {
                request_bytes: request_bytes as f64,
                function_instances: function.load.instances.load(Ordering::Relaxed) as f64,
                active_calls: active.others as f64,
                worker_cpu_cores: worker.ledger.cpu_cores(),
                worker_ram_bytes: worker.ledger.ram_bytes() as f64,
            };
            let (info, sessions) = (&function.info, &self.sessions);
            let planned = running.predict(info, sessions, features, answering, &request)?;

            let held = worker.ledger.reserve(&planned);
            let (ended, failure) = if running.behaved.is_some() {
                let stop = match running.is_over() {
                    true => Stop::Reached,
                    false => Box::pin(running.carry_out()).await,
                };
                running.end(stop)?
            } else {
                let end = began + planned.runtime;
                let mut ended = clock.now();
                if ended < end {
                    request = unshared(request);
                    clock.sleep_until(end).await;
                    ended = clock.now();
                }
                (ended, None)
            };

            drop((held, active));
            let data = match failure {
                Some(_) => Bytes::new(),
                None => running.answer(function.info.draws, answering, request, ended)?,
            };
            let instance = running.instance.id;
            let cold_start = running.cold_start(began);
            running.answered(ended);
            Ok(Outcome { instance, data, prediction: planned, arrived, ended, cold_start, failure })
        }
    }
}

/// A message for a call that waits. A small one is a piece of what was read from its connection at once, all of
/// which would stay with the call.
fn unshared(message: Bytes) -> Bytes {
    const SMALL: usize = 4 << 10;
    if message.len() > SMALL { message } else { Bytes::copy_from_slice(&message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_waits_keeps_nothing_of_what_else_was_read_from_its_connection() {
        let read = Bytes::from(vec![7; 16 << 10]);
        let message = unshared(read.slice(5..15));
        assert_eq!(message, [7; 10][..]);
        assert!(read.is_unique());
        // A large one is most of what was read, and counted for its client.
        let message = unshared(read.slice(5..5005));
        assert!(!read.is_unique() && message.len() == 5000);
    }
}
