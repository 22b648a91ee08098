//! The scenario that all workers obey, and how it is replaced while they run.

use std::sync::Arc;

use hyperfake_predictor::{Error, Result};

use super::App;
use crate::{
    clock::precise,
    config::{Behaviour, Config},
    scenario::{Scenario, Source},
};

/// The most CPUs that a worker has, as on the command line.
const MOST_CPUS: u32 = 65_536;

/// Reads the scenario that was chosen.
///
/// # Errors
///
/// When it cannot be read, or something in it is wrong.
fn read(chosen: &Behaviour) -> Result<Scenario> {
    let scenario = match &chosen.source {
        None => Scenario::plain(),
        Some(source) => source.scenario().map_err(|error| error.at("--scenario"))?,
    };
    if let Some(cpus) = scenario.worker().cpus.filter(|cpus| *cpus > MOST_CPUS) {
        let message = format!("found {cpus} CPUs, expected at most {MOST_CPUS}");
        return Err(Error::invalid(message).at("--scenario"));
    }
    Ok(scenario.with(&chosen.overrides))
}

/// Reads the scenario that was chosen, and lets the configuration have what it states and the command
/// line does not.
pub(super) fn open(config: &mut Config) -> Result<Arc<Scenario>> {
    let scenario = read(&config.scenario)?;
    let worker = scenario.worker();
    config.seed = config.seed.or(scenario.seed());
    if let (Some(cpus), false) = (worker.cpus, config.scenario.has_cpus) {
        config.worker.cpus = cpus as usize;
    }
    if let (Some(memory), false) = (worker.memory, config.scenario.has_memory) {
        config.worker.memory_bytes = memory;
    }
    Ok(Arc::new(scenario))
}

impl App {
    /// Reads the scenario file again, for calls and instances from now on. Returns whether there is one.
    /// The seed, the CPUs and the memory stay as they are until the next start.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or something in it is wrong; then everything stays as it is.
    pub fn reload_scenario(&self) -> Result<bool> {
        if !matches!(self.config.scenario.source, Some(Source::File(_))) {
            return Ok(false);
        }
        let scenario = Arc::new(read(&self.config.scenario)?);
        let now = precise::now();
        for worker in &self.workers {
            worker.set_scenario(Arc::clone(&scenario), now);
        }
        Ok(true)
    }
}
