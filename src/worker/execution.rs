use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyperfake_predictor::{Error, Features, Prediction, Result, Session};
use parking_lot::Mutex;

use super::{EventKind, Instance, InstanceId, Worker};
use crate::{
    catalog::{Catalog, Model},
    clock::Clock,
};

/// Runs calls on one thread: the worker, with the thread's own clock and model sessions.
pub struct Executor {
    worker: Arc<Worker>,
    clock: Clock,
    sessions: Arc<Sessions>,
}

/// One thread's model sessions, for all workers that it runs.
pub struct Sessions(
    /// One for each model of the catalog, made when it is first needed. The locks are this
    /// thread's own; they only prove to the compiler that it is one thread.
    Box<[Slot]>,
);

/// A model's session, once there is one.
type Slot = Mutex<Option<Box<dyn Session>>>;

impl Sessions {
    /// For the models of this catalog.
    #[must_use]
    pub fn of(catalog: &Catalog) -> Arc<Self> {
        Arc::new(Self(catalog.models().iter().map(|_| Mutex::new(None)).collect()))
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The function's id.
    pub function: &'a str,
    /// The instance that should run it, if it is a live one of the function.
    pub instance: Option<InstanceId>,
    /// The request's body.
    pub data: Bytes,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The instance that ran the call.
    pub instance: InstanceId,
    /// The answer's body.
    pub data: Bytes,
    /// How the call was predicted to behave, and how it behaved.
    pub prediction: Prediction,
    /// When the call came in.
    pub arrived: Instant,
    /// When it ended.
    pub ended: Instant,
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

    /// Runs a call: takes as long as predicted, and holds what was predicted meanwhile. Dropping
    /// the future ends the call at once.
    ///
    /// # Errors
    ///
    /// `Exhausted` beyond the most calls at once, `NotFound` for a function that was not started
    /// here or has no live instance, `Unavailable` when the worker shuts down, and whatever the
    /// prediction fails with.
    pub async fn call(&self, call: Call<'_>) -> Result<Outcome> {
        let worker = &*self.worker;
        let arrived = self.clock.now();
        let _admitted = worker.admission.enter()?;
        let function = worker.function(call.function)?;
        let mut instance = worker.place(&function, call.instance, &self.clock)?;

        if instance.ready_at > arrived {
            self.clock.sleep_until(instance.ready_at).await;
        }
        worker.announce(&instance);
        let began = arrived.max(instance.ready_at);

        let active = function.load.enter();
        let running = Running::begin(worker, &instance, &self.clock);
        let prediction = self.predict(
            &function.model,
            &Features {
                request_bytes: call.data.len() as f64,
                function_instances: function.load.instances.load(Ordering::Relaxed) as f64,
                active_calls: active.others as f64,
                worker_cpu_cores: worker.ledger.cpu_cores(),
                worker_ram_bytes: worker.ledger.ram_bytes() as f64,
            },
        )?;
        let held = worker.ledger.reserve(&prediction);
        let end = began + prediction.runtime;
        let mut ended = self.clock.now();
        if ended < end {
            self.clock.sleep_until(end).await;
            ended = self.clock.now();
        }

        drop((held, active));
        running.succeed(ended);
        instance.left_at(ended);
        Ok(Outcome {
            instance: instance.id,
            data: worker.response(&function.model).body(call.data),
            prediction,
            arrived,
            ended,
            cold_start: began - arrived,
        })
    }

    fn predict(&self, model: &Model, features: &Features) -> Result<Prediction> {
        let mut slot = self.sessions.0[model.index].lock();
        let ask = || match &mut *slot {
            Some(session) => session.predict(features),
            None => slot.insert(model.session()?).predict(features),
        };
        // A model's runtime is foreign code: its panic ends this call and no other.
        match catch_unwind(AssertUnwindSafe(ask)) {
            Ok(Ok(raw)) => {
                let config = &self.worker.config;
                let mut checked = config.limits.check(raw);
                checked.prediction.runtime = config.time_scale.apply(checked.prediction.runtime);
                if checked.faults != [None; 3] {
                    model.report(&checked, self.clock.now());
                }
                Ok(checked.prediction)
            }
            Ok(Err(error)) => Err(error.at(&model.image)),
            Err(_) => {
                *slot = None;
                let message = format!("the backend '{}' panicked", model.predictor.info().backend);
                Err(Error::internal(message).at(&model.image))
            }
        }
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// A call between its CALL and its RESPONSE event, which comes however the call ends.
struct Running<'a> {
    worker: &'a Worker,
    instance: &'a Arc<Instance>,
    clock: &'a Clock,
    succeeded: Option<Instant>,
}

impl<'a> Running<'a> {
    fn begin(worker: &'a Worker, instance: &'a Arc<Instance>, clock: &'a Clock) -> Self {
        worker.events.emit(EventKind::Call, false, instance, || clock.now());
        Self { worker, instance, clock, succeeded: None }
    }

    /// Ends it well, at this moment.
    fn succeed(mut self, at: Instant) {
        self.succeeded = Some(at);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let failed = self.succeeded.is_none();
        let at = || self.succeeded.unwrap_or_else(|| self.clock.now());
        self.worker.events.emit(EventKind::Response, failed, self.instance, at);
    }
}
