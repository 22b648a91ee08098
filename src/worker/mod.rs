//! The simulated worker: functions, their instances, and the calls that run on them.
//!
//! A call's way is in [`Executor::call`], an instance's in `lifecycle`. Nothing here knows how a
//! call came in (gRPC) or who predicts it (a backend).

mod addresses;
mod admission;
mod answers;
mod behaved;
mod conduct;
mod config;
mod contention;
mod directory;
mod ending;
mod event_log;
mod events;
mod executor;
mod forgetting;
mod function;
mod gate;
mod in_flight;
mod instance;
mod ledger;
mod lifecycle;
mod listeners;
mod nodes;
mod occupancy;
mod placement;
mod places;
mod sessions;
mod start;
mod starts;
mod usage;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use hyperfake_predictor::{Error, Result};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    addresses::Addresses,
    config::{Config, DEFAULT_IDLE_TIMEOUT},
    directory::STOPPED_INSTANCES_STAY,
    ending::AfterStop,
    events::{Event, EventKind, Observer},
    executor::{Call, Executor, Outcome},
    function::{FeatureScope, FunctionInfo},
    instance::{Instance, InstanceState},
    ledger::{Ledger, Reservation},
    lifecycle::{Lifetime, StartAnswers},
    listeners::{Subscription, SubscriptionEnd},
    sessions::Sessions,
    usage::Usage,
};
use self::{
    conduct::CurrentScenario,
    contention::Cpu,
    directory::Directory,
    function::{Function, Load},
    gate::{Gate, Reason},
    instance::InstancePermit,
    listeners::Listeners,
    nodes::Nodes,
    starts::Starts,
};
pub use crate::record::{InstanceId, NotAnId};
use crate::{
    catalog::Catalog,
    clock::{Clock, Moment},
    functions::FunctionStore,
    record::{CallRecord, Sink},
    scenario::Seed,
};

/// The longest id that is looked at, in bytes. A function's is a UUID of 36.
const MAX_ID: usize = 256;

/// A worker, shared by the threads that run its calls (each through an [`Executor`]).
#[derive(Debug)]
pub struct Worker {
    /// What records and the log call it.
    name: Arc<str>,
    config: Arc<Config>,
    catalog: Arc<Catalog>,
    store: Arc<dyn FunctionStore>,
    seed: Seed,
    directory: Directory,
    ledger: Ledger,
    scenario: CurrentScenario,
    /// How calls share the CPU, if they do.
    cpu: Cpu,
    starts: Starts,
    /// What all functions have together.
    load: Arc<Load>,
    gate: Gate,
    listeners: Arc<Listeners>,
    nodes: Nodes,
    /// The instances of a former life of this worker, of whose end listeners are to be told.
    former: Vec<(InstanceId, Arc<str>)>,
    /// Where instances get addresses of their own, if they can.
    addresses: Option<Arc<dyn Addresses>>,
    /// Told of every call that ended; the listeners among them.
    sinks: Vec<Arc<dyn Sink>>,
    /// Told of every change of an instance; the listeners among them.
    observers: Vec<Arc<dyn Observer>>,
    /// The tasks of the instances, up to their last events.
    instance_tasks: TaskTracker,
    /// Ends the wait of instances for their calls.
    abort: CancellationToken,
}

impl Worker {
    /// A worker without instances, whose calls do what is predicted. The name is what records and the log
    /// call it, and the seed is where its random numbers come from.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        seed: Seed,
        config: Arc<Config>,
        catalog: Arc<Catalog>,
        store: Arc<dyn FunctionStore>,
    ) -> Self {
        let name = name.into();
        let (buffer, timeout) = (config.event_buffer, config.listener_timeout);
        let listeners = Arc::new(Listeners::new(name.clone(), buffer, timeout));
        Self {
            name: name.into(),
            scenario: CurrentScenario::plain(),
            cpu: Cpu::new(config.cpus as f64),
            starts: Starts::default(),
            gate: Gate::new(config.max_calls),
            sinks: vec![Arc::clone(&listeners) as _],
            observers: vec![Arc::clone(&listeners) as _],
            listeners,
            nodes: Nodes::default(),
            former: Vec::new(),
            addresses: None,
            config,
            catalog,
            store,
            seed,
            directory: Directory::default(),
            ledger: Ledger::default(),
            load: Arc::default(),
            instance_tasks: TaskTracker::new(),
            abort: CancellationToken::new(),
        }
    }

    /// The same worker, whose instances can have addresses of their own.
    #[must_use]
    pub fn with_addresses(mut self, addresses: Arc<dyn Addresses>) -> Self {
        self.addresses = Some(addresses);
        self
    }

    /// The same worker, which had these instances in a former life: their ids and their functions.
    #[must_use]
    pub fn with_former(mut self, instances: impl Iterator<Item = (InstanceId, Arc<str>)>) -> Self {
        self.former = instances.collect();
        self
    }

    /// The same worker, which also tells this sink of every call that ended.
    #[must_use]
    pub fn with_sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.sinks.push(sink);
        self
    }

    /// The same worker, which also tells this observer of every change of an instance.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
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

    /// Listens to what happens to the instances, as this node: from now on or, for one that comes
    /// back in time, from where its last subscription ended.
    ///
    /// # Errors
    ///
    /// `Exhausted` when there are too many listeners, `Invalid` for a name that is too long.
    pub fn subscribe(&self, node: &str, clock: &Clock) -> Result<Subscription> {
        check_id("node", node)?;
        self.listeners.subscribe(node, self.ended_unnoticed(clock.now()), &self.nodes, clock)
    }

    /// The ends of the instances of a former life, which no listener could be told of then.
    fn ended_unnoticed(&self, now: Moment) -> VecDeque<Event> {
        // The same seed gives the same ids again.
        let gone = self.former.iter().filter(|(id, _)| self.directory.instance(*id).is_none());
        gone.map(|(instance, function)| Event {
            kind: EventKind::Killed,
            failed: true,
            instance: *instance,
            function: Arc::clone(function),
            at: now,
        })
        .collect()
    }

    /// Reports what is due to be reported, and ends and evicts what has expired. Call it every few
    /// seconds.
    pub fn housekeeping(self: &Arc<Self>, now: Moment, clock: &Clock) {
        self.listeners.housekeeping(now);
        self.directory.evict_stopped(now);
        self.directory.forget_idle(now);
        self.end_orphans(clock);
    }

    /// What is in use at this moment.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let (cpu_cores, ram_bytes) = (self.ledger.cpu_cores(), self.ledger.ram_bytes());
        let percent = |used: f64, total: f64| (100.0 * used / total).min(100.0);
        Usage {
            calls: self.gate.state().inside() as usize,
            instances: self.instance_tasks.len(),
            cpu_cores,
            ram_bytes,
            cpu_percent: percent(cpu_cores, self.config.cpus as f64),
            ram_percent: percent(ram_bytes as f64, self.config.memory_bytes as f64),
        }
    }

    /// Every instance that is listed: the live ones and, without `--auto-remove`, those that
    /// stopped within the last [`STOPPED_INSTANCES_STAY`].
    #[must_use]
    pub fn instances(&self, now: Moment) -> Vec<Arc<Instance>> {
        self.directory.evict_stopped(now);
        self.directory.instances()
    }

    /// Shows every instance that is listed, in no order.
    pub fn each_instance(&self, show: impl FnMut(&Arc<Instance>)) {
        self.directory.each_instance(show);
    }

    /// The instance of this id, if it is listed.
    #[must_use]
    pub fn instance(&self, id: InstanceId) -> Option<Arc<Instance>> {
        self.directory.instance(id)
    }

    /// Whether it takes calls and starts.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.gate.state().closed().is_none()
    }

    /// Takes no more calls and starts.
    pub fn close(&self) {
        self.gate.close(Reason::Down);
    }

    /// Takes no more calls and starts, and waits for the calls inside to end.
    pub async fn drain(&self) {
        self.close();
        self.gate.until(|state| state.is_over().then_some(())).await;
    }

    /// Ends every instance, those without another end with DOWN, and then every subscription.
    pub async fn shut_down(&self) {
        self.close();
        for instance in self.directory.instances() {
            instance.close(Reason::Down);
        }
        self.abort.cancel();
        self.instance_tasks.close();
        self.instance_tasks.wait().await;
        self.listeners.close();
    }

    fn check_open(&self) -> Result<()> {
        if self.is_open() { Ok(()) } else { Err(shutting_down()) }
    }

    fn function(&self, id: &str) -> Result<Arc<Function>> {
        if let Some(function) = self.directory.function(id) {
            return Ok(function);
        }
        check_id("function", id)?;
        let message = format!("no function with the id '{id}' was started on this worker");
        Err(Error::not_found(message))
    }

    /// Finds the instance that runs a call: the one asked for, or the next one in turn.
    fn place<'a>(
        &self,
        function: &Function,
        asked: Option<InstanceId>,
        clock: &'a Clock,
    ) -> Result<InstancePermit<'a>> {
        let asked = asked.and_then(|id| self.directory.instance(id));
        asked
            .filter(|instance| std::ptr::eq(instance.function(), &*function.info))
            .and_then(|instance| instance.enter(clock))
            .or_else(|| function.instances.enter(clock))
            .ok_or_else(|| {
                let id = &function.info.id;
                let message = format!("the function '{id}' has no live instance: start one first");
                Error::not_found(message)
            })
    }

    /// Announces an instance whose cold start is over, once, and lets it take its turn before those
    /// that are not ready.
    fn announce(&self, instance: &Instance) {
        let first = instance.announce(|| {
            self.changed(EventKind::Running, instance, || instance.ready_at);
        });
        if first {
            self.directory.set_ready(instance);
        }
    }

    /// Tells the observers that an instance changed at this moment.
    fn changed(&self, kind: EventKind, instance: &Instance, at: impl FnOnce() -> Moment) {
        if self.observers.iter().any(|observer| observer.watches(kind)) {
            let at = at();
            for observer in self.observers.iter().filter(|observer| observer.watches(kind)) {
                observer.instance_changed(kind, instance, at);
            }
        }
    }

    /// Tells the sinks that a call ended.
    fn ended(&self, record: impl FnOnce() -> CallRecord) {
        if self.sinks.iter().any(|sink| sink.is_active()) {
            let record = record();
            for sink in self.sinks.iter().filter(|sink| sink.is_active()) {
                sink.call_ended(&record);
            }
        }
    }

    /// Ends when instances shall not wait for their calls any longer.
    async fn drain_aborted(&self) {
        self.abort.cancelled().await;
    }

    /// How long an instance may be idle, if there is a limit.
    fn idle_timeout(&self, instance: &Instance) -> Option<Duration> {
        match (self.config.idle_timeout, instance.lifetime) {
            (Some(asked), _) => Some(asked),
            (None, Lifetime::UntilStopped) => None,
            (None, Lifetime::UntilIdle) => {
                Some(instance.function().spec.idle_timeout.unwrap_or(DEFAULT_IDLE_TIMEOUT))
            }
        }
    }

    /// Gives the address of an instance back.
    fn release(&self, instance: &Instance) {
        if let (Some(addresses), Some(address)) = (&self.addresses, instance.take_address()) {
            addresses.release(address);
        }
    }
}

fn shutting_down() -> Error {
    Error::unavailable("the worker is shutting down")
}

/// Refuses an id that no worker can have given out, before it is searched for or repeated.
fn check_id(what: &str, id: &str) -> Result<()> {
    if id.len() > MAX_ID {
        let message = format!("the {what} id has {} bytes, expected at most {MAX_ID}", id.len());
        return Err(Error::invalid(message));
    }
    Ok(())
}
