use std::{sync::Arc, time::Duration};

use super::{
    Behaviour, Distribution, Fault, Quota, StatusCode, TimeScale,
    behaviour::{ColdStart, Memory, Queue},
};
use crate::functions::FunctionSpec;

/// What a section of a scenario states of functions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Settings {
    pub(super) cold_start: Option<Distribution>,
    pub(super) starts: Option<Starts>,
    pub(super) run_time: Option<Distribution>,
    /// Sigmas of factors on the run time.
    pub(super) noise: Option<f64>,
    pub(super) instance_speed: Option<f64>,
    pub(super) concurrency: Option<Limit<u32>>,
    pub(super) queue: Option<QueueSetting>,
    pub(super) cpu: Option<Limit<Quota>>,
    pub(super) memory: Option<MemorySetting>,
    /// `Some(None)` is no limit.
    pub(super) timeout: Option<Option<Duration>>,
    pub(super) overload: Option<StatusCode>,
}

/// A limit of an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limit<T> {
    /// There is none.
    None,
    /// The one that the function was registered with.
    Registered,
    /// This one.
    Is(T),
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Starts {
    pub(super) slow_down: f64,
    pub(super) fail_percent: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct QueueSetting {
    pub(super) depth: Depth,
    pub(super) timeout: Option<Duration>,
}

/// How many calls may wait for a place in an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Depth {
    Calls(u32),
    /// So many times the instance's concurrency.
    Times(u32),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MemorySetting {
    pub(super) limit: Limit<u64>,
    pub(super) growth_per_second: f64,
}

impl Default for QueueSetting {
    /// As Knative's queue proxy.
    fn default() -> Self {
        Self { depth: Depth::Times(10), timeout: None }
    }
}

impl<T> Limit<T> {
    fn or_registered(self, registered: Option<T>) -> Option<T> {
        match self {
            Self::None => None,
            Self::Registered => registered,
            Self::Is(limit) => Some(limit),
        }
    }
}

impl Settings {
    /// Takes over what a later section states. A distribution of run times replaces the noise too, unless
    /// that section states both: what is drawn varies already.
    pub(super) fn take(&mut self, later: &Self) {
        fn set<T: Clone>(setting: &mut Option<T>, later: &Option<T>) {
            if later.is_some() {
                setting.clone_from(later);
            }
        }
        if later.run_time.is_some() {
            self.noise = None;
        }
        set(&mut self.cold_start, &later.cold_start);
        set(&mut self.starts, &later.starts);
        set(&mut self.run_time, &later.run_time);
        set(&mut self.noise, &later.noise);
        set(&mut self.instance_speed, &later.instance_speed);
        set(&mut self.concurrency, &later.concurrency);
        set(&mut self.queue, &later.queue);
        set(&mut self.cpu, &later.cpu);
        set(&mut self.memory, &later.memory);
        set(&mut self.timeout, &later.timeout);
        set(&mut self.overload, &later.overload);
    }

    /// The behaviour of a function with these settings.
    pub(super) fn behaviour(
        &self,
        spec: &FunctionSpec,
        faults: Arc<[Arc<Fault>]>,
        time_scale: TimeScale,
    ) -> Behaviour {
        let concurrency =
            self.concurrency.and_then(|most| most.or_registered(spec.max_concurrency));
        let period = spec.cpu_period.unwrap_or(Quota::DEFAULT_PERIOD);
        let registered = spec.cpu_limit.map(|cores| Quota { cores, period });
        let memory = self.memory.and_then(|memory| {
            let limit = memory.limit.or_registered(spec.memory_limit)?;
            Some(Memory { limit, growth_per_second: memory.growth_per_second })
        });
        let cold_start = (self.cold_start.is_some() || self.starts.is_some()).then(|| {
            let Starts { slow_down, fail_percent } = self.starts.unwrap_or_default();
            ColdStart { time: self.cold_start.clone(), slow_down, fail_percent }
        });
        let QueueSetting { depth, timeout } = self.queue.unwrap_or_default();
        let depth = match depth {
            Depth::Calls(calls) => calls,
            Depth::Times(times) => concurrency.unwrap_or(0).saturating_mul(times),
        };
        Behaviour {
            cold_start,
            run_time: self.run_time.clone(),
            noise_sigma: self.noise.unwrap_or(0.0),
            instance_speed_sigma: self.instance_speed.unwrap_or(0.0),
            concurrency,
            queue: Queue { depth, timeout },
            quota: self.cpu.and_then(|cpu| cpu.or_registered(registered)),
            memory,
            timeout: self.timeout.flatten(),
            overload: self.overload.unwrap_or(StatusCode::RESOURCE_EXHAUSTED),
            faults,
            time_scale,
        }
    }
}
