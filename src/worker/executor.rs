use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use hyperfake_predictor::{Error, ErrorKind, Features, Prediction, RawPrediction, Result};

use super::{
    EventKind, Instance, InstanceId, Sessions, Worker,
    answers::{Answering, Method},
    instance::InstancePermit,
};
use crate::{
    catalog::Answer,
    clock::{Clock, Moment},
    record::{CallOutcome, CallRecord},
    scenario::{self, Purpose},
};

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
}

/// What a call came to.
enum Target<'a> {
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

    /// Runs a call: takes as long as planned, and holds what was planned meanwhile. Dropping the
    /// future ends the call at once.
    ///
    /// # Errors
    ///
    /// `Exhausted` beyond the most calls at once, `NotFound` for a function that was not started
    /// here or has no live instance, `Unavailable` when the worker shuts down, and whatever the
    /// model fails with.
    pub fn call<'a>(&'a self, call: Call<'a>) -> impl Future<Output = Result<Outcome>> + Send + 'a {
        self.run(Target::Function(call.function, call.instance), call.data)
    }

    /// Runs a call of a method, `package.Service/Method`, that came to an instance's own address, on
    /// that instance.
    ///
    /// # Errors
    ///
    /// Those of [`Executor::call`], and `Unavailable` when the instance takes no more calls.
    pub fn call_on<'a>(
        &'a self,
        instance: &'a Arc<Instance>,
        method: &'a str,
        message: Bytes,
    ) -> impl Future<Output = Result<Outcome>> + Send + 'a {
        self.run(Target::Instance(instance, method), message)
    }

    /// One future for both: a future inside of another one is moved into it for each call.
    async fn run(&self, target: Target<'_>, mut request: Bytes) -> Result<Outcome> {
        let (worker, clock) = (&*self.worker, &self.clock);
        let arrived = clock.now();
        let _admitted = worker.admit()?;
        let (function, instance, method) = match target {
            Target::Function(id, asked) => {
                let function = worker.function(id)?;
                let instance = worker.place(&function, asked, clock)?;
                (function, instance, Method::Call)
            }
            Target::Instance(instance, method) => {
                let permit = instance.enter(clock).ok_or_else(|| {
                    Error::unavailable(format!("the instance '{}' has ended", instance.id))
                })?;
                (Arc::clone(&instance.home), permit, Method::OfFunction(method))
            }
        };
        let info = &*function.info;
        let request_bytes = request.len();
        // A call may run for minutes: what its answer does not need is dropped now.
        let answering = worker.answering(method, &info.model);
        if !answering.needs_request() {
            request = Bytes::new();
        }
        let mut running =
            InFlightCall::new(worker, clock, instance, arrived, function.number_call());

        if running.instance.ready_at > arrived {
            clock.sleep_until(running.instance.ready_at).await;
        }
        worker.announce(&running.instance);
        let began = arrived.max(running.instance.ready_at);
        let active = function.load.enter();
        running.begin(began);

        let features = Features {
            request_bytes: request_bytes as f64,
            function_instances: function.load.instances.load(Ordering::Relaxed) as f64,
            active_calls: active.others as f64,
            worker_cpu_cores: worker.ledger.cpu_cores(),
            worker_ram_bytes: worker.ledger.ram_bytes() as f64,
        };
        running.features = Some(features);
        let uniforms = || info.draws.uniforms(running.number);
        let asked = self.sessions.predict(&info.model, &features, &worker.config.layers, uniforms);
        let Answer { raw, mut prediction } = match asked {
            Ok(answer) => answer,
            Err(error) => {
                running.fail(error.kind());
                return Err(info.model.failed(&error, clock.now()));
            }
        };
        let number = running.number;
        let random = || info.draws.bits(number, Purpose::Response);
        if let Answering::Stated(stated) = answering {
            let run_time = stated.run_time(&request, random());
            if let Some(run_time) = run_time.inspect_err(|error| running.fail(error.kind()))? {
                prediction.runtime = worker.config.layers.run_time(run_time);
            }
        }
        let plan = scenario::plan(&info.spec, &features, &prediction, info.draws, running.number);
        let planned = Prediction {
            runtime: plan.run_time,
            cpu_cores: plan.cpu_cores,
            ram_bytes: plan.ram_bytes,
        };
        running.planned = Some((raw, planned));

        let held = worker.ledger.reserve(&planned);
        let end = began + plan.run_time;
        let mut ended = clock.now();
        if ended < end {
            clock.sleep_until(end).await;
            ended = clock.now();
        }

        drop((held, active));
        let data = match answering {
            Answering::Bytes(response) => response.body(request, random),
            Answering::Message(response) => response.message(request, random),
            Answering::Stated(stated) if stated.crashes() => {
                running.fail(ErrorKind::Unavailable);
                worker.crash(&running.instance, ended);
                return Err(Error::unavailable("the instance crashed"));
            }
            Answering::Stated(stated) => {
                let answer = stated.answer(&request, random());
                answer.inspect_err(|error| running.fail(error.kind()))?
            }
        };
        let instance = running.instance.id;
        running.succeed(ended);
        Ok(Outcome {
            instance,
            data,
            prediction: planned,
            arrived,
            ended,
            cold_start: began - arrived,
        })
    }
}

/// A call that was given to an instance. However it ends, its place is given back and the sinks
/// are told when this is dropped.
struct InFlightCall<'a> {
    worker: &'a Worker,
    clock: &'a Clock,
    instance: InstancePermit<'a>,
    number: u64,
    arrived: Moment,
    began: Option<Moment>,
    /// What the model is told, for the record.
    features: Option<Features>,
    /// What the model answered and what was planned, for the record.
    planned: Option<(RawPrediction, Prediction)>,
    ended: Option<Moment>,
    outcome: CallOutcome,
}

impl<'a> InFlightCall<'a> {
    fn new(
        worker: &'a Worker,
        clock: &'a Clock,
        instance: InstancePermit<'a>,
        arrived: Moment,
        number: u64,
    ) -> Self {
        let (began, features, planned, ended) = (None, None, None, None);
        let outcome = CallOutcome::Cancelled;
        Self { worker, clock, instance, number, arrived, began, features, planned, ended, outcome }
    }

    /// Its instance is ready to run it.
    fn begin(&mut self, at: Moment) {
        self.worker.changed(EventKind::Call, &self.instance, || self.clock.now());
        self.began = Some(at);
    }

    /// It fails for this kind of reason.
    fn fail(&mut self, kind: ErrorKind) {
        self.outcome = CallOutcome::Failed(kind);
    }

    /// It ends well, at this moment.
    fn succeed(&mut self, at: Moment) {
        self.ended = Some(at);
        self.outcome = CallOutcome::Succeeded;
        self.instance.ended_at(at);
    }

    fn record(&self) -> CallRecord {
        let instance: &Instance = &self.instance;
        CallRecord {
            function: Arc::clone(&instance.function.id),
            instance: instance.id,
            number: self.number,
            features: self.features,
            predicted: self.planned.map(|(raw, _)| raw),
            planned: self.planned.map(|(_, planned)| planned),
            arrived: self.arrived,
            began: self.began,
            ended: self.ended.unwrap_or_else(|| self.clock.now()),
            outcome: self.outcome,
        }
    }
}

impl Drop for InFlightCall<'_> {
    fn drop(&mut self) {
        self.worker.ended(|| self.record());
    }
}
