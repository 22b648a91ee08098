use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hyperfake_predictor::{Error, Result};
use parking_lot::Mutex;

use super::{
    Instance, InstanceId, Lifetime,
    function::{Function, FunctionInfo, Load},
};
use crate::{clock::Moment, scenario::Purpose};

/// How long a stopped instance is still listed, without `--auto-remove`.
pub const STOPPED_INSTANCES_STAY: Duration = Duration::from_secs(300);

/// The most instances that are listed, and the most of them that have stopped: no client can fill
/// the memory by starting them.
const MAX_INSTANCES: usize = 1_000_000;
const MAX_STOPPED: usize = 10_000;

/// The functions and instances of a worker. Calls look them up without a lock.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// The functions that were started here, by id. They stay, so that each is looked up once.
    functions: papaya::HashMap<Arc<str>, Arc<Function>, foldhash::fast::RandomState>,
    /// Every instance that is listed, stopped ones included.
    instances: papaya::HashMap<InstanceId, Arc<Instance>>,
    /// The stopped instances that are still listed, oldest first, and when they stopped.
    stopped: Mutex<VecDeque<(Moment, InstanceId)>>,
}

impl Directory {
    /// The function of this id, if it was started here.
    pub(super) fn function(&self, id: &str) -> Option<Arc<Function>> {
        self.functions.pin().get(id).cloned()
    }

    /// Adds a function, and returns the one of this id: that which was there if it is the same, as
    /// another thread may have added it. Otherwise the instances of that one go on, without calls
    /// that do not name them.
    pub(super) fn add_function(&self, info: FunctionInfo, load: Arc<Load>) -> Arc<Function> {
        let functions = self.functions.pin();
        let (id, spec) = (Arc::clone(&info.id), info.spec.clone());
        let new = Arc::new(Function::new(info, load));
        let stays = |old: &Function| !old.is_deleted() && old.info.spec == spec;
        let chosen = |old: &Arc<Function>| Arc::clone(if stays(old) { old } else { &new });
        Arc::clone(functions.update_or_insert(id, chosen, Arc::clone(&new)))
    }

    /// The instance of this id, if it is listed.
    pub(super) fn instance(&self, id: InstanceId) -> Option<Arc<Instance>> {
        self.instances.pin().get(&id).cloned()
    }

    /// Makes an instance and lists it. It takes no calls yet but those that name it.
    ///
    /// # Errors
    ///
    /// `Exhausted` when too many are listed.
    pub(super) fn add_instance(
        &self,
        function: &Arc<Function>,
        lifetime: Lifetime,
        now: Moment,
        cold_start: Duration,
    ) -> Result<Arc<Instance>> {
        if self.instances.len() >= MAX_INSTANCES {
            let message = format!("{MAX_INSTANCES} instances are listed, and no more are started");
            return Err(Error::exhausted(message));
        }
        loop {
            let number = function.number_instance();
            let bits = function.info.draws.bits(number, Purpose::InstanceId);
            let id = InstanceId::from_bits(bits);
            let new = Arc::new(Instance::new(id, Arc::clone(function), lifetime, now, cold_start));
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

    /// Every instance that is listed, by the time at which it was made and its id.
    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        let mut all: Vec<_> = self.instances.pin().values().cloned().collect();
        all.sort_unstable_by_key(|instance| (instance.created, instance.id));
        all
    }
}
