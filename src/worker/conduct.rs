//! The worker's scenario, and what it means for each function.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::RwLock;

use super::{Worker, function::Function};
use crate::{
    clock::Moment,
    scenario::{Behaviour, Scenario},
};

/// The scenario of a worker. Starts read it, and it is changed as a whole.
#[derive(Debug)]
pub(super) struct CurrentScenario {
    /// The worker's number in its fleet.
    worker: usize,
    /// Since when the times of faults count.
    since: Moment,
    current: RwLock<Numbered<Arc<Scenario>>>,
    /// Whether there are any faults, for which a request might ask. Read by each call.
    has_faults: AtomicBool,
}

/// How a function behaves. Without a scenario for it, it costs a call one load.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    is_set: AtomicBool,
    /// With the number of the scenario that it is from. Changed when that is.
    behaviour: RwLock<Numbered<Option<Arc<Behaviour>>>>,
}

/// A scenario, or what comes of it, by the number of changes before it.
#[derive(Debug, Default)]
struct Numbered<T>(u64, T);

impl CurrentScenario {
    /// None: functions do what is predicted.
    pub(super) fn plain() -> Self {
        let current = RwLock::new(Numbered(0, Arc::new(Scenario::plain())));
        Self { worker: 0, since: Moment::default(), current, has_faults: AtomicBool::new(false) }
    }

    pub(super) fn since(&self) -> Moment {
        self.since
    }

    pub(super) fn has_faults(&self) -> bool {
        self.has_faults.load(Ordering::Relaxed)
    }
}

impl Conduct {
    /// How the function behaves at this moment; nothing if it does what is predicted.
    pub(super) fn behaviour(&self) -> Option<Arc<Behaviour>> {
        match self.is_set.load(Ordering::Acquire) {
            true => self.behaviour.read().1.clone(),
            false => None,
        }
    }

    /// What the request header asks to go wrong by which the function may be asked for that, if there is
    /// one.
    pub(super) fn fault_asked<'h>(
        &self,
        header: impl FnOnce(&str) -> Option<&'h [u8]>,
    ) -> Option<Box<str>> {
        let value = header(self.behaviour()?.fault_header()?)?;
        Some(String::from_utf8_lossy(value).into())
    }

    fn set(&self, number: u64, behaviour: Option<Arc<Behaviour>>) {
        let mut current = self.behaviour.write();
        self.is_set.store(behaviour.is_some(), Ordering::Release);
        *current = Numbered(number, behaviour);
    }
}

impl Worker {
    /// The same worker, which is this one of its fleet and whose functions behave as the scenario says.
    /// The times of faults count from `now`.
    #[must_use]
    pub fn with_scenario(mut self, worker: usize, scenario: Arc<Scenario>, now: Moment) -> Self {
        (self.scenario.worker, self.scenario.since) = (worker, now);
        self.set_scenario(scenario, now);
        self
    }

    /// Lets all functions behave as this scenario says: calls and instances from now on. Calls that run
    /// keep to what was planned for them, and instances keep their speed.
    pub fn set_scenario(&self, scenario: Arc<Scenario>, now: Moment) {
        let behaviour = scenario.worker();
        self.cpu.set(behaviour.contention, behaviour.interference, now);
        let has_faults = !scenario.faults().is_empty();
        self.scenario.has_faults.store(has_faults, Ordering::Relaxed);
        let mut current = self.scenario.current.write();
        let number = current.0 + 1;
        *current = Numbered(number, scenario);
        drop(current);
        for function in self.directory.functions() {
            self.bring_up_to_date(&function);
        }
        // Those that gave way to a change where they were registered.
        for instance in self.directory.instances() {
            self.bring_up_to_date(&instance.home);
        }
    }

    /// The scenario at this moment.
    #[must_use]
    pub fn scenario(&self) -> Arc<Scenario> {
        Arc::clone(&self.scenario.current.read().1)
    }

    /// Lets a function behave as the scenario of this moment says.
    pub(super) fn bring_up_to_date(&self, function: &Function) {
        // Held, so that no later scenario comes between.
        let current = self.scenario.current.read();
        let Numbered(number, scenario) = &*current;
        if function.conduct.behaviour.read().0 != *number {
            let info = &function.info;
            let behaviour =
                scenario.behaviour(self.scenario.worker, &info.id, &info.image, &info.spec);
            function.conduct.set(*number, behaviour);
        }
    }
}
