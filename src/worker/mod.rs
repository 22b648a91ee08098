//! The simulated worker: functions, their instances, and the calls that run on them.
//!
//! A call's way is in [`execution`](Executor::call), an instance's in `lifecycle`. Nothing here
//! knows how a call came in (gRPC) or who predicts it (a backend).

mod events;
mod execution;
mod id;
mod instance;
mod ledger;
mod lifecycle;
mod scheduler;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyperfake_predictor::{Error, ErrorKind, Limits, Result};
use tokio::sync::Notify;

use self::instance::Visit;
pub use self::{
    events::{End, Event, EventKind, Events, Subscription},
    execution::{Call, Executor, Outcome},
    id::{InstanceId, NotAnId},
    instance::{Instance, InstanceState},
    ledger::{Ledger, Reservation},
    lifecycle::{Runtime, STOPPED_INSTANCES_STAY},
    scheduler::Rotation,
};
use crate::{
    catalog::{Catalog, Model, Response},
    clock::Clock,
    functions::FunctionRegistry,
};

/// How a worker behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// The worker's simulated CPUs.
    pub cpus: usize,
    /// The worker's simulated memory, in bytes.
    pub memory_bytes: u64,
    /// The most calls at once, if there is a limit.
    pub max_calls: Option<usize>,
    /// The container runtime whose cold start is imitated.
    pub runtime: Runtime,
    /// The cold start of every instance, whatever runtime and model say.
    pub cold_start: Option<Duration>,
    /// How long an instance may be idle, whatever its function says.
    pub idle_timeout: Option<Duration>,
    /// Whether a stopped instance is forgotten at once.
    pub auto_remove: bool,
    /// The answers' bodies, when the model does not say.
    pub response: Response,
    /// What predictions are held to.
    pub limits: Limits,
    /// Events that a listener's buffer holds.
    pub event_buffer: usize,
    /// How long a listener may be away without missing anything.
    pub listener_timeout: Duration,
}

/// How long an instance may be idle when neither the worker nor its function says.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest id that is looked at, in bytes. A function's is a UUID of 36.
const MAX_ID: usize = 256;

/// A worker, shared by the threads that run its calls (each through an [`Executor`]).
#[derive(Debug)]
pub struct Worker {
    config: Config,
    catalog: Catalog,
    registry: Arc<dyn FunctionRegistry>,
    /// The functions that were started here, by id. They stay, so that each is looked up once.
    functions: papaya::HashMap<Arc<str>, Arc<Function>>,
    /// Every instance that is listed, stopped ones included.
    instances: papaya::HashMap<InstanceId, Arc<Instance>>,
    ledger: Ledger,
    admission: Admission,
    events: Events,
}

/// A function that was started here.
#[derive(Debug)]
pub struct Function {
    /// Its id.
    pub id: Arc<str>,
    /// What predicts its calls.
    pub model: Arc<Model>,
    /// Its live instances.
    pub rotation: Rotation,
    /// Its running calls.
    active: AtomicUsize,
    /// How long its instances may be idle, if it says so itself.
    idle_timeout: Option<Duration>,
}

/// What the running calls use at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Calls that are running or waiting for an instance to be ready.
    pub calls: usize,
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
    /// A worker without instances.
    #[must_use]
    pub fn new(config: Config, catalog: Catalog, registry: Arc<dyn FunctionRegistry>) -> Self {
        Self {
            events: Events::new(config.event_buffer, config.listener_timeout),
            admission: Admission::new(config.max_calls),
            config,
            catalog,
            registry,
            functions: papaya::HashMap::new(),
            instances: papaya::HashMap::new(),
            ledger: Ledger::default(),
        }
    }

    /// How it behaves.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The models that it has.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Starts an instance of a function. It exists from now on; its first call waits for what is
    /// left of its cold start.
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
        let cold_start = self.config.cold_start.or(function.model.cold_start);
        let cold_start = cold_start.unwrap_or(self.config.runtime.cold_start());
        let instance = loop {
            let id = InstanceId::random();
            let new = Instance::new(id, Arc::clone(&function), clock.now(), cold_start);
            let new = Arc::new(new);
            if self.instances.pin().try_insert(id, Arc::clone(&new)).is_ok() {
                break new;
            }
        };
        self.events.emit(EventKind::Start, false, &instance, || instance.created);
        function.rotation.add(Arc::clone(&instance));
        tokio::spawn(lifecycle::live(Arc::clone(self), Arc::clone(&instance), clock.clone()));
        Ok(instance)
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
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        instance.close(EventKind::Stop);
        instance.function.rotation.remove(&instance);
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

    /// What is in use at this moment.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let (cpu_cores, ram_bytes) = (self.ledger.cpu_cores(), self.ledger.ram_bytes());
        let percent = |used: f64, total: f64| (100.0 * used / total).min(100.0);
        Usage {
            calls: self.admission.calls.load(Ordering::Relaxed),
            cpu_cores,
            ram_bytes,
            cpu_percent: percent(cpu_cores, self.config.cpus as f64),
            ram_percent: percent(ram_bytes as f64, self.config.memory_bytes as f64),
        }
    }

    /// Every instance that is listed: the live ones and, without `--auto-remove`, those that
    /// stopped within the last [`STOPPED_INSTANCES_STAY`].
    #[must_use]
    pub fn instances(&self) -> Vec<Arc<Instance>> {
        self.instances.pin().values().cloned().collect()
    }

    /// Takes no more calls and starts, and waits for the calls inside to end.
    pub async fn drain(&self) {
        self.admission.close();
        self.admission.empty().await;
    }

    /// Ends every instance with DOWN, and every subscription.
    pub fn shut_down(&self, clock: &Clock) {
        self.admission.close();
        for instance in self.instances() {
            if instance.close(EventKind::Down) {
                instance.function.rotation.remove(&instance);
                self.emit(EventKind::Down, &instance, clock);
            }
        }
        self.events.close();
    }

    fn function(&self, id: &str) -> Result<Arc<Function>> {
        if let Some(function) = self.functions.pin().get(id) {
            return Ok(Arc::clone(function));
        }
        check_id("function", id)?;
        let message = format!("no function with the id '{id}' was started on this worker");
        Err(Error::new(ErrorKind::NotFound, message))
    }

    async fn look_up(&self, id: &str) -> Result<Arc<Function>> {
        let registered = self.registry.lookup(id).await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("cannot look up the function '{id}'"))
                .with_source(error)
        })?;
        let Some(registered) = registered else {
            let message = format!("the function registry knows no function with the id '{id}'");
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        let function = Function {
            id: id.into(),
            model: self.catalog.resolve(&registered.image_tag)?,
            rotation: Rotation::default(),
            active: AtomicUsize::new(0),
            idle_timeout: registered.config.idle_timeout(),
        };
        // Another Start may have been faster; then its function is the one.
        let functions = self.functions.pin();
        Ok(Arc::clone(functions.get_or_insert(Arc::clone(&function.id), Arc::new(function))))
    }

    /// Finds the instance that runs a call: the one asked for, or the one whose turn it is.
    fn place(
        &self,
        function: &Arc<Function>,
        asked: Option<InstanceId>,
        clock: &Clock,
    ) -> Result<Visit> {
        let asked = asked.and_then(|id| self.instances.pin().get(&id).cloned());
        asked
            .filter(|instance| Arc::ptr_eq(&instance.function, function))
            .and_then(|instance| instance.enter(clock))
            .or_else(|| function.rotation.enter(clock))
            .ok_or_else(|| {
                let id = &function.id;
                let message = format!("the function '{id}' has no live instance: start one first");
                Error::new(ErrorKind::NotFound, message)
            })
    }

    /// Sends the RUNNING event of an instance whose cold start is over, once.
    fn announce(&self, instance: &Arc<Instance>) {
        if instance.announce() {
            self.events.emit(EventKind::Running, false, instance, || instance.ready_at);
        }
    }

    fn emit(&self, kind: EventKind, instance: &Arc<Instance>, clock: &Clock) {
        self.events.emit(kind, false, instance, || clock.now());
    }

    fn forget(&self, instance: &Instance) {
        self.instances.pin().remove(&instance.id);
    }

    fn idle_timeout(&self, function: &Function) -> Duration {
        self.config.idle_timeout.or(function.idle_timeout).unwrap_or(DEFAULT_IDLE_TIMEOUT)
    }

    fn response(&self, model: &Model) -> Response {
        model.response.unwrap_or(self.config.response)
    }
}

/// Refuses an id that nobody can have given out, before it is searched for or repeated.
fn check_id(what: &str, id: &str) -> Result<()> {
    if id.len() > MAX_ID {
        let message = format!("the {what} id has {} bytes, expected at most {MAX_ID}", id.len());
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    Ok(())
}

/// The door: how many calls are inside, and whether more may come in.
#[derive(Debug)]
struct Admission {
    limit: usize,
    calls: AtomicUsize,
    closed: AtomicBool,
    /// Signalled when the last call has left a closed door.
    emptied: Notify,
}

impl Admission {
    fn new(limit: Option<usize>) -> Self {
        Self {
            limit: limit.unwrap_or(usize::MAX),
            calls: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            emptied: Notify::new(),
        }
    }

    fn enter(&self) -> Result<Admitted<'_>> {
        let inside = self.calls.fetch_add(1, Ordering::SeqCst);
        let admitted = Admitted(self);
        self.check_open()?;
        if inside >= self.limit {
            let message = format!("{inside} calls are running, and no more are taken at once");
            return Err(Error::new(ErrorKind::Exhausted, message).at("--max-rpcs"));
        }
        Ok(admitted)
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the worker is shutting down"));
        }
        Ok(())
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    async fn empty(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.calls.load(Ordering::SeqCst) == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// A call inside. Dropping it is leaving.
struct Admitted<'a>(&'a Admission);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let last = self.0.calls.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.0.closed.load(Ordering::SeqCst) {
            self.0.emptied.notify_waiters();
        }
    }
}
