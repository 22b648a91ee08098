//! The simulated worker: functions, their instances, and the calls that run on them.
//!
//! A call's way is in [`execution`](Executor::call), an instance's in `lifecycle`. Nothing here
//! knows how a call came in (gRPC) or who predicts it (a backend).

mod admission;
mod config;
mod events;
mod execution;
mod function;
mod id;
mod instance;
mod ledger;
mod lifecycle;
mod scheduler;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use hyperfake_predictor::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    admission::Admission,
    function::Load,
    instance::{End, Visit},
};
pub use self::{
    config::{Config, DEFAULT_IDLE_TIMEOUT},
    events::{Event, EventKind, Events, Over, Subscription},
    execution::{Call, Executor, Outcome, Sessions},
    function::{FeatureScope, Function},
    id::{InstanceId, NotAnId},
    instance::{Instance, InstanceState},
    ledger::{Ledger, Reservation},
    lifecycle::{Runtime, STOPPED_INSTANCES_STAY, StartAnswers},
    scheduler::Rotation,
};
use crate::{
    catalog::{Catalog, Model, Response},
    clock::Clock,
    functions::FunctionRegistry,
};

/// The longest id that is looked at, in bytes. A function's is a UUID of 36.
const MAX_ID: usize = 256;

/// The most instances that are listed, and the most of them that have stopped: no client can fill
/// the memory by starting them.
const MAX_INSTANCES: usize = 1_000_000;
const MAX_STOPPED: usize = 10_000;

/// A worker, shared by the threads that run its calls (each through an [`Executor`]).
#[derive(Debug)]
pub struct Worker {
    config: Arc<Config>,
    catalog: Arc<Catalog>,
    registry: Arc<dyn FunctionRegistry>,
    /// The functions that were started here, by id. They stay, so that each is looked up once.
    functions: papaya::HashMap<Arc<str>, Arc<Function>, foldhash::fast::RandomState>,
    /// Every instance that is listed, stopped ones included.
    instances: papaya::HashMap<InstanceId, Arc<Instance>>,
    ledger: Ledger,
    /// What all functions have together.
    load: Arc<Load>,
    admission: Admission,
    events: Events,
    /// The stopped instances that are still listed, oldest first, and when they stopped.
    stopped: Mutex<VecDeque<(Instant, InstanceId)>>,
    /// The lives of the instances, up to their last events.
    lives: TaskTracker,
    /// Ends the wait of instances for their calls.
    cut: CancellationToken,
}

/// What the running calls use at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Calls that are running or waiting for an instance to be ready.
    pub calls: usize,
    /// Instances that have not ended.
    pub instances: usize,
    /// CPU in use, in cores.
    pub cpu_cores: f64,
    /// Memory in use, in bytes.
    pub ram_bytes: u64,
    /// CPU in use as a share of the worker's CPUs, each of which takes an equal part: 0 to 100.
    pub cpu_percent: f64,
    /// Memory in use as a share of the worker's: 0 to 100.
    pub ram_percent: f64,
}

impl Worker {
    /// A worker without instances; the name is what the log calls it.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        config: Arc<Config>,
        catalog: Arc<Catalog>,
        registry: Arc<dyn FunctionRegistry>,
    ) -> Self {
        Self {
            events: Events::new(name.into(), config.event_buffer, config.listener_timeout),
            admission: Admission::new(config.max_calls),
            config,
            catalog,
            registry,
            functions: papaya::HashMap::default(),
            instances: papaya::HashMap::new(),
            ledger: Ledger::default(),
            load: Arc::default(),
            stopped: Mutex::default(),
            lives: TaskTracker::new(),
            cut: CancellationToken::new(),
        }
    }

    /// How it behaves.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The models that it has.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Starts an instance of a function. It exists from now on, and [`Worker::ready`] says when its
    /// cold start is over; a call that comes earlier waits for what is left of it.
    ///
    /// # Errors
    ///
    /// `NotFound` when the registry does not know the function or no model has its image,
    /// `Unavailable` when the registry does not answer or the worker shuts down, `Invalid` for
    /// an id that cannot be one.
    pub async fn start(
        self: &Arc<Self>,
        function_id: &str,
        clock: &Clock,
    ) -> Result<Arc<Instance>> {
        let function = match self.function(function_id) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.look_up(function_id).await?,
            found => found?,
        };
        self.admission.check_open()?;
        if self.instances.len() >= MAX_INSTANCES {
            let message = format!("{MAX_INSTANCES} instances are listed, and no more are started");
            return Err(Error::exhausted(message));
        }
        let cold_start = self.config.cold_start.or(function.model.cold_start);
        let cold_start = cold_start.unwrap_or(self.config.runtime.cold_start());
        let cold_start = self.config.time_scale.apply(cold_start);
        let instance = loop {
            let id = InstanceId::random();
            let new = Instance::new(id, Arc::clone(&function), clock.now(), cold_start);
            let new = Arc::new(new);
            if self.instances.pin().try_insert(id, Arc::clone(&new)).is_ok() {
                break new;
            }
        };
        self.events.emit(EventKind::Start, false, &instance, || instance.created);
        function.add(&instance);
        self.lives.spawn(lifecycle::live(Arc::clone(self), Arc::clone(&instance), clock.clone()));
        Ok(instance)
    }

    /// Waits until the cold start of an instance is over and its RUNNING event was sent. When the
    /// wait is given up, the instance goes on all the same.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the instance ended before it was ready, and when the worker shuts down.
    pub async fn ready(&self, instance: &Instance) -> Result<()> {
        let was_ready = instance.ready().await;
        self.admission.check_open()?;
        if was_ready {
            return Ok(());
        }
        let message = format!("the instance '{}' was stopped before it was ready", instance.id);
        Err(Error::unavailable(message))
    }

    /// Ends an instance, once the calls that run on it have ended.
    ///
    /// # Errors
    ///
    /// `NotFound` when no live instance has this id.
    pub async fn stop(&self, instance_id: &str) -> Result<()> {
        check_id("instance", instance_id)?;
        let found = instance_id
            .parse::<InstanceId>()
            .ok()
            .and_then(|id| self.instances.pin().get(&id).cloned())
            .filter(|instance| !instance.is_stopped());
        let Some(instance) = found else {
            let message = format!("no live instance has the id '{instance_id}'");
            return Err(Error::not_found(message));
        };
        instance.close(End::Stop);
        instance.function.remove(&instance);
        instance.stopped().await;
        Ok(())
    }

    /// Listens to what happens to the instances, as this node.
    ///
    /// # Errors
    ///
    /// `Exhausted` when there are too many listeners, `Invalid` for a name that is too long.
    pub fn subscribe(&self, node: &str, clock: &Clock) -> Result<Subscription> {
        check_id("node", node)?;
        self.events.subscribe(node, clock)
    }

    /// Says what could not be said yet, and forgets what is over. Call it every few seconds.
    pub fn tidy(&self, now: Instant) {
        self.events.tidy(now);
        self.forget_stopped(now);
    }

    /// What is in use at this moment.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let (cpu_cores, ram_bytes) = (self.ledger.cpu_cores(), self.ledger.ram_bytes());
        let percent = |used: f64, total: f64| (100.0 * used / total).min(100.0);
        Usage {
            calls: self.admission.calls(),
            instances: self.lives.len(),
            cpu_cores,
            ram_bytes,
            cpu_percent: percent(cpu_cores, self.config.cpus as f64),
            ram_percent: percent(ram_bytes as f64, self.config.memory_bytes as f64),
        }
    }

    /// Every instance that is listed: the live ones and, without `--auto-remove`, those that
    /// stopped within the last [`STOPPED_INSTANCES_STAY`].
    #[must_use]
    pub fn instances(&self, now: Instant) -> Vec<Arc<Instance>> {
        self.forget_stopped(now);
        self.instances.pin().values().cloned().collect()
    }

    /// Takes no more calls and starts.
    pub fn close(&self) {
        self.admission.close();
    }

    /// Takes no more calls and starts, and waits for the calls inside to end.
    pub async fn drain(&self) {
        self.close();
        self.admission.empty().await;
    }

    /// Ends every instance, those without another end with DOWN, and then every subscription.
    pub async fn shut_down(&self) {
        self.close();
        for instance in self.instances.pin().values() {
            instance.close(End::Down);
        }
        self.cut.cancel();
        self.lives.close();
        self.lives.wait().await;
        self.events.close();
    }

    fn function(&self, id: &str) -> Result<Arc<Function>> {
        if let Some(function) = self.functions.pin().get(id) {
            return Ok(Arc::clone(function));
        }
        check_id("function", id)?;
        let message = format!("no function with the id '{id}' was started on this worker");
        Err(Error::not_found(message))
    }

    async fn look_up(&self, id: &str) -> Result<Arc<Function>> {
        let registered = self.registry.lookup(id).await.map_err(|error| {
            Error::unavailable(format!("cannot look up the function '{id}'")).with_source(error)
        })?;
        let Some(registered) = registered else {
            let message = format!("the function registry knows no function with the id '{id}'");
            return Err(Error::not_found(message));
        };
        let function = Function {
            id: id.into(),
            model: self.catalog.resolve(&registered.image_tag)?,
            rotation: Rotation::default(),
            load: match self.config.feature_scope {
                FeatureScope::Function => Arc::default(),
                FeatureScope::Worker => Arc::clone(&self.load),
            },
            idle_timeout: registered.config.idle_timeout(),
        };
        // Another Start may have been faster; then its function is the one.
        let functions = self.functions.pin();
        Ok(Arc::clone(functions.get_or_insert(Arc::clone(&function.id), Arc::new(function))))
    }

    /// Finds the instance that runs a call: the one asked for, or the one whose turn it is.
    fn place<'a>(
        &self,
        function: &Arc<Function>,
        asked: Option<InstanceId>,
        clock: &'a Clock,
    ) -> Result<Visit<'a>> {
        let asked = asked.and_then(|id| self.instances.pin().get(&id).cloned());
        asked
            .filter(|instance| Arc::ptr_eq(&instance.function, function))
            .and_then(|instance| instance.enter(clock))
            .or_else(|| function.rotation.enter(clock))
            .ok_or_else(|| {
                let id = &function.id;
                let message = format!("the function '{id}' has no live instance: start one first");
                Error::not_found(message)
            })
    }

    /// Sends the RUNNING event of an instance whose cold start is over, once, and lets it take its
    /// turn.
    fn announce(&self, instance: &Arc<Instance>) {
        let first = instance.announce(|| {
            self.events.emit(EventKind::Running, false, instance, || instance.ready_at);
        });
        if first {
            instance.function.rotation.set_ready(instance);
        }
    }

    /// Ends when instances shall not wait for their calls any longer.
    async fn cut_off(&self) {
        self.cut.cancelled().await;
    }

    /// Lists an instance as stopped for a while, or forgets it.
    fn lay_out(&self, instance: &Instance, now: Instant) {
        if self.config.auto_remove {
            self.instances.pin().remove(&instance.id);
        } else {
            self.stopped.lock().push_back((now, instance.id));
            self.forget_stopped(now);
        }
    }

    fn forget_stopped(&self, now: Instant) {
        let mut stopped = self.stopped.lock();
        while let Some((at, id)) = stopped.front().copied() {
            if now < at + STOPPED_INSTANCES_STAY && stopped.len() <= MAX_STOPPED {
                break;
            }
            stopped.pop_front();
            self.instances.pin().remove(&id);
        }
    }

    fn idle_timeout(&self, function: &Function) -> Duration {
        self.config.idle_timeout.or(function.idle_timeout).unwrap_or(DEFAULT_IDLE_TIMEOUT)
    }

    fn response<'a>(&'a self, model: &'a Model) -> &'a Response {
        model.response.as_ref().unwrap_or(&self.config.response)
    }
}

/// Refuses an id that nobody can have given out, before it is searched for or repeated.
fn check_id(what: &str, id: &str) -> Result<()> {
    if id.len() > MAX_ID {
        let message = format!("the {what} id has {} bytes, expected at most {MAX_ID}", id.len());
        return Err(Error::invalid(message));
    }
    Ok(())
}
