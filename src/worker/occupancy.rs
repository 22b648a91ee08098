use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use parking_lot::Mutex;

use super::{
    Instance,
    places::{Place, PlaceLimits, Places, QueuePlace},
};

/// What the calls of an instance have of it, of those that have a behaviour.
#[derive(Debug, Default)]
pub(super) struct Occupancy {
    /// Calls that run; those of any thread change it, as they do the next one.
    running: AtomicU32,
    /// The memory that they hold.
    ram_bytes: AtomicU64,
    /// Made anew when the scenario changes the limits: calls that have a place of the former ones keep it.
    places: Mutex<Option<Arc<Places>>>,
}

/// A call among those that run on an instance. Dropping it takes the call out.
#[derive(Debug)]
pub(super) struct Occupied {
    instance: Arc<Instance>,
    ram_bytes: u64,
    /// The other calls when this one came, and the memory that they held.
    pub(super) others: u32,
    pub(super) ram_in_use: u64,
}

impl Occupancy {
    /// A place to run, unless all are taken.
    pub(super) fn take(&self, limits: PlaceLimits) -> Option<Place> {
        self.places(limits).take()
    }

    /// A place in the queue, unless that is full.
    pub(super) fn queue(&self, limits: PlaceLimits) -> Option<QueuePlace> {
        self.places(limits).queue()
    }

    /// Calls that wait for a place to run.
    pub(super) fn queued(&self) -> u32 {
        self.places.lock().as_ref().map_or(0, |places| places.waiting())
    }

    fn places(&self, limits: PlaceLimits) -> Arc<Places> {
        let mut places = self.places.lock();
        match &*places {
            Some(places) if places.limits() == limits => Arc::clone(places),
            _ => Arc::clone(places.insert(Places::new(limits))),
        }
    }
}

impl Occupied {
    /// A call runs on this instance.
    pub(super) fn new(instance: &Arc<Instance>) -> Self {
        let occupancy = instance.occupancy();
        let ram_in_use = occupancy.ram_bytes.load(Ordering::Relaxed);
        let others = occupancy.running.fetch_add(1, Ordering::Relaxed);
        Self { instance: Arc::clone(instance), ram_bytes: 0, others, ram_in_use }
    }

    /// It holds this much memory.
    pub(super) fn hold(&mut self, ram_bytes: u64) {
        self.instance.occupancy().ram_bytes.fetch_add(ram_bytes, Ordering::Relaxed);
        self.ram_bytes += ram_bytes;
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        let occupancy = self.instance.occupancy();
        occupancy.running.fetch_sub(1, Ordering::Relaxed);
        occupancy.ram_bytes.fetch_sub(self.ram_bytes, Ordering::Relaxed);
    }
}
