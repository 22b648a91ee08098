use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use hyperfake_predictor::{ErrorKind, Features, Prediction, RawPrediction, Result};

use super::{EventKind, Instance, InstanceId, Sessions, Worker, instance::InstancePermit};
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
    pub async fn call(&self, call: Call<'_>) -> Result<Outcome> {
        let (worker, clock) = (&*self.worker, &self.clock);
        let arrived = clock.now();
        let _admitted = worker.admit()?;
        let function = worker.function(call.function)?;
        let instance = worker.place(&function, call.instance, clock)?;
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
            request_bytes: call.data.len() as f64,
            function_instances: function.load.instances.load(Ordering::Relaxed) as f64,
            active_calls: active.others as f64,
            worker_cpu_cores: worker.ledger.cpu_cores(),
            worker_ram_bytes: worker.ledger.ram_bytes() as f64,
        };
        running.features = Some(features);
        let info = &*function.info;
        let asked = self.sessions.predict(&info.model, &features, &worker.config.layers);
        let Answer { raw, prediction } = asked.map_err(|error| {
            running.fail(error.kind());
            info.model.failed(&error, clock.now())
        })?;
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
        let random = || info.draws.bits(running.number, Purpose::Response);
        let data = worker.response(&info.model).body(call.data, random);
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
