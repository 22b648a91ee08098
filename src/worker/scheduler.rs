use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::RwLock;

use super::{Instance, instance::Visit};
use crate::clock::Clock;

/// A function's live instances, which take the calls in turn.
///
/// The lock is the function's own, and calls only read.
#[derive(Debug, Default)]
pub struct Rotation {
    instances: RwLock<Vec<Arc<Instance>>>,
    /// Whose turn it is.
    turn: AtomicUsize,
}

impl Rotation {
    pub(super) fn add(&self, instance: Arc<Instance>) {
        let mut instances = self.instances.write();
        instance.slot.store(instances.len(), Ordering::Relaxed);
        instances.push(instance);
    }

    /// Takes an instance out, if it is in; the last one takes over its turn.
    pub(super) fn remove(&self, instance: &Instance) -> bool {
        let mut instances = self.instances.write();
        let slot = instance.slot.swap(usize::MAX, Ordering::Relaxed);
        let found = instances.get(slot).is_some_and(|found| found.id == instance.id);
        if found {
            instances.swap_remove(slot);
            if let Some(moved) = instances.get(slot) {
                moved.slot.store(slot, Ordering::Relaxed);
            }
        }
        found
    }

    /// Lets a call into the instance whose turn it is, passing over those that just closed.
    pub(super) fn enter<'a>(&self, clock: &'a Clock) -> Option<Visit<'a>> {
        let instances = self.instances.read();
        (0..instances.len()).find_map(|_| {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            instances[turn % instances.len()].enter(clock)
        })
    }
}
