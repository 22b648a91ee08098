use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, VariantNames};

use super::{Behaviour, Fault, Pattern, TimeScale, settings::Settings};
use crate::functions::FunctionSpec;

/// How functions, instances and workers behave: what a scenario file states, ready for use.
///
/// It does not change but for the switches and counters of its faults: another scenario takes its place as
/// a whole.
#[derive(Debug)]
pub struct Scenario {
    pub(super) seed: Option<u64>,
    pub(super) worker: WorkerBehaviour,
    pub(super) defaults: Settings,
    /// In the order of the file.
    pub(super) functions: Vec<(Pattern, Settings)>,
    pub(super) faults: Vec<Arc<Fault>>,
    pub(super) time_scale: TimeScale,
    /// As it was written, if it was.
    pub(super) text: Option<Box<str>>,
}

/// How a worker behaves.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct WorkerBehaviour {
    /// How calls slow each other down.
    pub contention: Contention,
    /// A call is slower by this share, times the part of the worker's CPUs that is busy.
    pub interference: f64,
    /// The simulated CPUs, unless the command line says.
    pub cpus: Option<u32>,
    /// The simulated memory in bytes, unless the command line says.
    pub memory: Option<u64>,
}

/// How calls that run at the same time share a worker's CPUs.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    EnumString,
    strum::Display,
    VariantNames,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Contention {
    /// Each call runs as if it were alone.
    #[default]
    None,
    /// Run times hold for the load at the call's begin; only changes of it slow a call down or speed it up.
    Relative,
    /// Run times hold for a worker without other calls.
    Absolute,
}

/// What counts before a scenario.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overrides {
    /// How calls share the CPUs.
    pub contention: Option<Contention>,
    /// Whether cold starts take the time that the worker states.
    pub cold_start: bool,
    /// The factor for run times and cold starts.
    pub time_scale: TimeScale,
}

impl Scenario {
    /// The one in which everything happens as predicted.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            seed: None,
            worker: WorkerBehaviour::default(),
            defaults: Settings::default(),
            functions: Vec::new(),
            faults: Vec::new(),
            time_scale: TimeScale::ONE,
            text: None,
        }
    }

    /// The same scenario, but for what counts before it.
    #[must_use]
    pub fn with(mut self, overrides: &Overrides) -> Self {
        self.time_scale = overrides.time_scale;
        self.worker.contention = overrides.contention.unwrap_or(self.worker.contention);
        if overrides.cold_start {
            let all = self.functions.iter_mut().map(|(_, settings)| settings);
            all.chain([&mut self.defaults]).for_each(|settings| settings.cold_start = None);
        }
        self
    }

    /// Its file as it was written when it was read; nothing for the plain one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Where random numbers come from, if it says.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// How workers behave.
    #[must_use]
    pub fn worker(&self) -> &WorkerBehaviour {
        &self.worker
    }

    /// How a function with this id and image behaves on the worker of this number, from 0; nothing when
    /// it is as without a scenario.
    #[must_use]
    pub fn behaviour(
        &self,
        worker_index: usize,
        function_id: &str,
        image: &str,
        spec: &FunctionSpec,
    ) -> Option<Arc<Behaviour>> {
        let mut settings = self.defaults.clone();
        for (pattern, section) in &self.functions {
            if pattern.matches(function_id, image) {
                settings.take(section);
            }
        }
        let concerns = |fault: &&Arc<Fault>| fault.concerns(worker_index, function_id, image);
        let faults: Vec<_> = self.faults.iter().filter(concerns).cloned().collect();
        // A call shares the CPUs as a part of its behaviour.
        if settings == Settings::default()
            && faults.is_empty()
            && self.worker.contention == Contention::None
        {
            return None;
        }
        Some(Arc::new(settings.behaviour(spec, faults.into(), self.time_scale)))
    }

    /// Its faults, in the order of the file.
    #[must_use]
    pub fn faults(&self) -> &[Arc<Fault>] {
        &self.faults
    }
}
