use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hyperfake_predictor::{Error, Result};
use parking_lot::Mutex;

use super::{
    Instance, InstanceId, Lifetime,
    forgetting::{Forgetting, Kept},
    function::{Function, FunctionInfo, Load},
};
use crate::{
    clock::Moment,
    scenario::{Purpose, StartPlan},
};

/// How long a stopped instance is still listed, without `--auto-remove`.
pub const STOPPED_INSTANCES_STAY: Duration = Duration::from_secs(300);

/// The most instances that are listed, and the most of them that have stopped: no client can fill
/// the memory by starting them.
const MAX_INSTANCES: usize = 250_000;
const MAX_STOPPED: usize = 10_000;

/// The functions and instances of a worker. Calls look them up without a lock.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// The functions that were started here, by id. They stay for a while without instances, so that
    /// each is looked up once.
    functions: Functions,
    /// Every instance that is listed, stopped ones included.
    instances: papaya::HashMap<InstanceId, Arc<Instance>>,
    /// The stopped instances that are still listed, oldest first, and when they stopped.
    stopped: Mutex<VecDeque<(Moment, InstanceId)>>,
    forgetting: Forgetting,
}

type Functions = papaya::HashMap<Arc<str>, Arc<Function>, foldhash::fast::RandomState>;

impl Directory {
    /// The function of this id, if it was started here.
    pub(super) fn function(&self, id: &str) -> Option<Arc<Function>> {
        self.functions.pin().get(id).cloned()
    }

    /// The functions that were started here.
    pub(super) fn functions(&self) -> Vec<Arc<Function>> {
        self.functions.pin().values().cloned().collect()
    }

    /// The ids of the functions that were started here.
    pub(super) fn function_ids(&self) -> Vec<Arc<str>> {
        self.functions.pin().keys().cloned().collect()
    }

    /// Adds a function, and returns the one of this id: that which was there if it is the same, as
    /// another thread may have added it. Otherwise the instances of that one go on, without calls
    /// that do not name them.
    pub(super) fn add_function(
        &self,
        info: FunctionInfo,
        load: Arc<Load>,
        now: Moment,
    ) -> Arc<Function> {
        let function = self.forgetting.add(info, load, &self.functions, now);
        self.forgetting.forget_surplus(&self.functions, now);
        function
    }

    /// Lists the function if it was forgotten since it was found, and lets none be forgotten before
    /// the guard is dropped: its instance is in the list of the function by then. Returns the one that is
    /// listed.
    pub(super) fn keep(&self, function: &Arc<Function>) -> (Kept<'_>, Arc<Function>) {
        self.forgetting.keep(function, &self.functions)
    }

    /// Forgets the functions that had no instance for too long. One that comes back is looked up
    /// anew and goes on with its numbers: see [`Forgetting`].
    pub(super) fn forget_idle(&self, now: Moment) {
        self.forgetting.forget(&self.functions, now);
    }

    /// The instance of this id, if it is listed.
    pub(super) fn instance(&self, id: InstanceId) -> Option<Arc<Instance>> {
        self.instances.pin().get(&id).cloned()
    }

    /// Makes an instance, whose start depends on its number, and lists it. It takes no calls yet but those
    /// that name it.
    ///
    /// # Errors
    ///
    /// `Exhausted` when too many are listed.
    pub(super) fn add_instance(
        &self,
        function: &Arc<Function>,
        lifetime: Lifetime,
        now: Moment,
        start: impl Fn(u64) -> StartPlan,
    ) -> Result<Arc<Instance>> {
        if self.instances.len() >= MAX_INSTANCES {
            let message = format!("{MAX_INSTANCES} instances are listed, and no more are started");
            return Err(Error::exhausted(message));
        }
        loop {
            let number = function.number_instance();
            let bits = function.info.draws.bits(number, Purpose::InstanceId);
            let id = InstanceId::from_bits(bits);
            let home = Arc::clone(function);
            let new = Arc::new(Instance::new(id, number, home, lifetime, now, start(number)));
            if self.instances.pin().try_insert(id, Arc::clone(&new)).is_ok() {
                return Ok(new);
            }
        }
    }

    /// Lets an instance take calls in turn.
    pub(super) fn enlist(&self, function: &Function, instance: &Arc<Instance>) {
        function.instances.add(Arc::clone(instance));
        // A call that named it was faster, and it was not in the list yet.
        if instance.is_announced() {
            function.instances.set_ready(instance);
        }
        function.load.instances.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets an instance that is ready take calls before those that are not.
    pub(super) fn set_ready(&self, instance: &Instance) {
        instance.home.instances.set_ready(instance);
    }

    /// Takes an instance out of turn; a second time does nothing.
    pub(super) fn delist(&self, instance: &Instance) {
        if instance.home.instances.remove(instance) {
            instance.home.load.instances.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Lists an instance as stopped for a while, or removes it at once.
    pub(super) fn retire(&self, instance: &Instance, now: Moment, remove: bool) {
        self.forgetting.instance_ended(&instance.home, now);
        if remove {
            self.instances.pin().remove(&instance.id);
        } else {
            self.stopped.lock().push_back((now, instance.id));
            self.evict_stopped(now);
        }
    }

    /// Removes the instances that stopped too long ago.
    pub(super) fn evict_stopped(&self, now: Moment) {
        let mut stopped = self.stopped.lock();
        while let Some((at, id)) = stopped.front().copied() {
            if now < at + STOPPED_INSTANCES_STAY && stopped.len() <= MAX_STOPPED {
                break;
            }
            stopped.pop_front();
            self.instances.pin().remove(&id);
        }
    }

    /// Shows every instance that is listed, in no order.
    pub(super) fn each_instance(&self, show: impl FnMut(&Arc<Instance>)) {
        self.instances.pin().values().for_each(show);
    }

    /// Every instance that is listed, by the time at which it was made and its id.
    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        let mut all: Vec<_> = self.instances.pin().values().cloned().collect();
        all.sort_unstable_by_key(|instance| (instance.created, instance.id));
        all
    }
}
