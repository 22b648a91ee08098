use super::{DistributionKeys, DistributionSection, Document, FunctionSection, Located};
use crate::scenario::presets;

impl Document {
    /// The same scenario, in which each pattern has all that counts for it of `defaults`, and published
    /// distributions are numbers.
    #[must_use]
    pub(in crate::scenario) fn effective(mut self) -> Self {
        if let Some(defaults) = &mut self.defaults {
            defaults.resolve();
        }
        let defaults = self.defaults.clone().unwrap_or_default();
        for (_, section) in self.functions.iter_mut().flat_map(|sections| &mut sections.0) {
            section.resolve();
            section.complete(&defaults);
        }
        for fault in self.faults.iter_mut().flatten() {
            fault.value.distributions().for_each(resolve);
        }
        self
    }
}

impl FunctionSection {
    fn resolve(&mut self) {
        [&mut self.cold_start, &mut self.run_time].into_iter().flatten().for_each(resolve);
    }

    fn complete(&mut self, defaults: &Self) {
        fn set<T: Clone>(key: &mut Option<T>, default: &Option<T>) {
            if key.is_none() {
                key.clone_from(default);
            }
        }
        // What is drawn varies already: see `Settings::take`.
        if self.run_time.is_none() {
            set(&mut self.noise, &defaults.noise);
        }
        set(&mut self.cold_start, &defaults.cold_start);
        set(&mut self.starts, &defaults.starts);
        set(&mut self.run_time, &defaults.run_time);
        set(&mut self.instance_speed, &defaults.instance_speed);
        set(&mut self.concurrency, &defaults.concurrency);
        set(&mut self.queue, &defaults.queue);
        set(&mut self.cpu, &defaults.cpu);
        set(&mut self.memory, &defaults.memory);
        set(&mut self.timeout, &defaults.timeout);
        set(&mut self.overload_status, &defaults.overload_status);
    }
}

fn resolve(section: &mut Located<DistributionSection>) {
    if let DistributionSection::Keys(keys) = &mut section.value {
        keys.resolve();
    }
}

impl DistributionKeys {
    fn resolve(&mut self) {
        if let Some(name) = self.preset() {
            let published = presets::distributions().iter().find(|preset| preset.name == name);
            if let Some(published) = published {
                *self = published.keys.clone().with_weight_of(self);
            }
        }
        self.parts().for_each(|part| part.value.resolve());
    }
}
