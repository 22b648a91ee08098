//! The names under which cAdvisor tells of containers: an instance is one.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{
    Sample,
    family::{Families, Family, Labels},
};
use crate::{
    admin::{fleet::unix, observe::InstanceTotal},
    worker::Instance,
};

/// The most instances that are told of.
const MAX_INSTANCES: usize = 5000;

/// A live instance, and what its labels and numbers are.
struct Container {
    instance: Arc<Instance>,
    id: String,
    name: String,
    total: InstanceTotal,
}

pub(super) fn encode(sample: &Sample<'_>, families: &mut Families<'_>) -> fmt::Result {
    let containers = containers(sample);
    let series = |of: fn(&Sample<'_>, &Container) -> Option<f64>| {
        containers.iter().filter_map(move |container| {
            of(sample, container).map(|value| (labels(container), value))
        })
    };
    families.counter(
        Family {
            name: "container_cpu_usage_seconds",
            unit: None,
            help: "CPU time that calls of the instance took",
        },
        series(|_, container| Some(container.total.cpu_seconds)),
    )?;
    families.gauge(
        Family {
            name: "container_memory_working_set_bytes",
            unit: None,
            help: "Memory that the latest call of the instance held",
        },
        series(|_, container| Some(container.total.ram_bytes as f64)),
    )?;
    families.gauge(
        Family {
            name: "container_spec_memory_limit_bytes",
            unit: None,
            help: "Memory that the instance may use, as its function was registered",
        },
        series(|_, container| {
            container.instance.function().spec.memory_limit.map(|limit| limit as f64)
        }),
    )?;
    families.gauge(
        Family {
            name: "container_start_time_seconds",
            unit: None,
            help: "When the instance was started, as Unix time",
        },
        series(|sample, container| Some(unix(sample.clock, container.instance.created))),
    )?;
    families.gauge(
        Family {
            name: "container_last_seen",
            unit: None,
            help: "When the instance was last seen, as Unix time",
        },
        series(|sample, _| Some(unix(sample.clock, sample.now))),
    )
}

/// The instances that have not ended, the oldest first.
fn containers(sample: &Sample<'_>) -> Vec<Container> {
    let mut found = BTreeMap::new();
    for (worker, of) in sample.fleet.workers.iter().enumerate() {
        of.each_instance(|instance| {
            if !instance.is_stopped() && found.len() < MAX_INSTANCES {
                let total = sample.totals.instances.get(&(worker as u32, instance.id));
                let key = (instance.created, worker, instance.id);
                found.insert(key, (Arc::clone(instance), total.copied().unwrap_or_default()));
            }
        });
    }
    let found = found.into_values();
    found
        .map(|(instance, total)| Container {
            id: format!("/docker/{}", instance.id),
            name: instance.id.name(),
            instance,
            total,
        })
        .collect()
}

fn labels(container: &Container) -> Labels<'_> {
    let function = container.instance.function();
    vec![
        ("container", &*function.id),
        ("id", &*container.id),
        ("image", &*function.spec.image),
        ("name", &*container.name),
        ("namespace", "hyperfake"),
        ("pod", &*container.name),
    ]
}
