use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::RwLock;

use super::{
    Instance,
    instance::{InstancePermit, NO_SLOT},
};
use crate::clock::Clock;

/// A function's live instances, which take the calls in turn. One that is in its cold start takes
/// calls only while none is ready, as the platform's own worker balances calls over the instances
/// that it is connected to.
///
/// The lock is the function's own, and calls only read.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    instances: RwLock<Instances>,
    /// Whose turn it is.
    turn: AtomicUsize,
}

/// Each instance knows its place in the list.
#[derive(Debug, Default)]
struct Instances {
    /// The ready ones first.
    list: Vec<Arc<Instance>>,
    /// How many are ready.
    ready: usize,
}

impl RoundRobin {
    /// Puts in an instance that is in its cold start.
    pub(super) fn add(&self, instance: Arc<Instance>) {
        let mut instances = self.instances.write();
        let slot = instances.list.len();
        instances.list.push(instance);
        instances.number(slot);
    }

    /// Takes note that an instance is ready, if it is in.
    pub(super) fn set_ready(&self, instance: &Instance) {
        let mut instances = self.instances.write();
        if let Some(slot) = instances.slot(instance).filter(|slot| *slot >= instances.ready) {
            let first_starting = instances.ready;
            instances.swap(slot, first_starting);
            instances.ready += 1;
        }
    }

    /// Takes an instance out, if it is in.
    pub(super) fn remove(&self, instance: &Instance) -> bool {
        let mut instances = self.instances.write();
        let Some(mut slot) = instances.slot(instance) else { return false };
        if slot < instances.ready {
            instances.ready -= 1;
            let last_ready = instances.ready;
            instances.swap(slot, last_ready);
            slot = last_ready;
        }
        let last = instances.list.len() - 1;
        instances.swap(slot, last);
        instances.list.pop();
        instance.slot.store(NO_SLOT, Ordering::Relaxed);
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.instances.read().list.is_empty()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Instance>> {
        self.instances.read().list.clone()
    }

    /// Lets a call into the instance whose turn it is, passing over those that just closed.
    pub(super) fn enter<'a>(&self, clock: &'a Clock) -> Option<InstancePermit<'a>> {
        let instances = self.instances.read();
        let (ready, starting) = instances.list.split_at(instances.ready);
        self.enter_one_of(ready, clock).or_else(|| self.enter_one_of(starting, clock))
    }

    fn enter_one_of<'a>(
        &self,
        list: &[Arc<Instance>],
        clock: &'a Clock,
    ) -> Option<InstancePermit<'a>> {
        for _ in list {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            if let Some(permit) = list[turn % list.len()].enter(clock) {
                return Some(permit);
            }
        }
        None
    }
}

impl RoundRobin {
    /// Lets a call into one of the first instances, from the one whose turn it is, that has what the call
    /// takes of it. At most so many are looked at.
    pub(super) fn enter_with<'a, T>(
        &self,
        clock: &'a Clock,
        most: usize,
        take: impl Fn(&Instance) -> Option<T>,
    ) -> Option<(InstancePermit<'a>, T)> {
        let instances = self.instances.read();
        let turn = self.turn.load(Ordering::Relaxed);
        let (ready, starting) = instances.list.split_at(instances.ready);
        let in_turn =
            |list: &[Arc<Instance>]| (0..list.len()).map(move |place| turn.wrapping_add(place));
        let ready = in_turn(ready).map(|turn| &ready[turn % ready.len()]);
        let starting = in_turn(starting).map(|turn| &starting[turn % starting.len()]);
        ready.chain(starting).take(most).find_map(|instance| {
            let taken = take(instance)?;
            Some((instance.enter(clock)?, taken))
        })
    }
}

impl Instances {
    /// Where an instance is, if it is in.
    fn slot(&self, instance: &Instance) -> Option<usize> {
        let slot = instance.slot.load(Ordering::Relaxed) as usize;
        self.list.get(slot).filter(|found| found.id == instance.id).map(|_| slot)
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.list.swap(one, other);
        self.number(one);
        self.number(other);
    }

    /// Tells the instance in this place where it is. There are far fewer than 2^32.
    fn number(&self, slot: usize) {
        self.list[slot].slot.store(slot as u32, Ordering::Relaxed);
    }
}
