use std::sync::Arc;

use hyperfake_predictor::Result;
use parking_lot::Mutex;

use super::fleet::Fleet;
use crate::{
    clock::Moment,
    scenario::{Fault, Scenario},
};

/// The scenario that the workers obey, and what is known of how it was written.
#[derive(Debug, Default)]
pub(super) struct Current {
    /// One that came over HTTP.
    edited: Mutex<Option<Arc<Scenario>>>,
    /// What was last seen of the faults, and how often it had changed.
    seen: Mutex<(Vec<Seen>, u64)>,
}

/// A fault's name, whether it is on, and how often it happened.
type Seen = (String, bool, u64);

/// The name of a scenario that came over HTTP.
pub(super) const EDITED: &str = "edited";

impl Current {
    /// What the scenario is called.
    pub(super) fn name(&self, fleet: &Fleet) -> String {
        let edited = self.edited.lock();
        if edited
            .as_ref()
            .zip(current(fleet))
            .is_some_and(|(edited, now)| Arc::ptr_eq(edited, &now))
        {
            return EDITED.to_owned();
        }
        fleet.scenario.as_ref().map_or_else(|| "plain".to_owned(), ToString::to_string)
    }

    /// Lets all workers obey a scenario of this text.
    ///
    /// # Errors
    ///
    /// When something in it is wrong; then nothing changes.
    pub(super) fn replace(&self, fleet: &Fleet, text: &str, now: Moment) -> Result<()> {
        let scenario = Arc::new(check(text)?.with(&fleet.overrides));
        for worker in &fleet.workers {
            worker.set_scenario(Arc::clone(&scenario), now);
        }
        *self.edited.lock() = Some(scenario);
        Ok(())
    }

    /// The number of changes of the faults that were seen: the switches, the counters, or which they are.
    pub(super) fn version(&self, fleet: &Fleet) -> u64 {
        let faults = faults(fleet);
        let shown = faults.iter().map(|fault| (fault.name(), fault.is_on(), fault.fired()));
        let (seen, version) = &mut *self.seen.lock();
        let is_same = shown.clone().eq(seen.iter().map(|(name, on, fired)| (&**name, *on, *fired)));
        if !is_same {
            *seen = shown.map(|(name, on, fired)| (name.to_owned(), on, fired)).collect();
            *version += 1;
        }
        *version
    }
}

/// The scenario that is in force.
pub(super) fn current(fleet: &Fleet) -> Option<Arc<Scenario>> {
    fleet.workers.first().map(|worker| worker.scenario())
}

/// The faults of the scenario, which all workers share.
pub(super) fn faults(fleet: &Fleet) -> Vec<Arc<Fault>> {
    current(fleet).map(|scenario| scenario.faults().to_vec()).unwrap_or_default()
}

/// Reads a scenario, which may name no file of this machine.
///
/// # Errors
///
/// When something in it is wrong.
pub(super) fn check(text: &str) -> Result<Scenario> {
    Scenario::parse(text)
}
