//! The worker's types as messages of this API.

use hyperfake_proto::worker::{
    Event as Kind, MetricsUpdate, StartResponse, Status, StatusUpdate, VirtualizationType,
};

use crate::{
    clock::Clock,
    wire::{events::timestamp, instance::InstanceAddresses},
    worker::{Event, EventKind, Instance, Usage},
};

/// An instance's address is the same for a leaf on any network: one that is not reached at it was
/// told another by `--advertise-host`.
pub(super) fn start_response(instance: &Instance, addresses: &InstanceAddresses) -> StartResponse {
    let address = instance.address().map(|number| addresses.text(number)).unwrap_or_default();
    StartResponse {
        instance_id: instance.id.text(),
        instance_internal_ip: address.clone(),
        instance_external_ip: address,
        instance_name: container_name(&instance.function().spec.image, &instance.id.text()),
    }
}

/// The name that the platform's worker gives a container: a prefix, the image's characters that a
/// name can have, and eight hexadecimal digits.
fn container_name(image: &str, id: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let image: String = image.chars().filter(allowed).collect();
    format!("hyperfaas-{image}-{}", &id[id.len().saturating_sub(8)..])
}

pub(super) fn status_update(event: &Event, clock: &Clock) -> StatusUpdate {
    let kind = match event.kind {
        EventKind::Start => Kind::Start,
        EventKind::Running => Kind::Running,
        EventKind::Call => Kind::Call,
        EventKind::Response => Kind::ResponseUnspecified,
        EventKind::Stop => Kind::Stop,
        EventKind::Timeout => Kind::Timeout,
        EventKind::Down | EventKind::Killed => Kind::Down,
    };
    let status = if event.failed { Status::Failed } else { Status::SuccessUnspecified };
    StatusUpdate {
        instance_id: event.instance.text(),
        r#type: VirtualizationType::Container.into(),
        event: kind.into(),
        status: status.into(),
        function_id: event.function.to_string(),
        timestamp: Some(timestamp(clock.since_epoch(event.at))),
    }
}

pub(super) fn metrics_update(usage: &Usage, cpus: usize) -> MetricsUpdate {
    MetricsUpdate {
        used_ram_percent: usage.ram_percent,
        cpu_percent_percpus: vec![usage.cpu_percent; cpus],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_named_after_its_image() {
        let name = container_name("ghcr.io/a/hyperfaas-echo:latest", "0123456789ab");
        assert_eq!(name, "hyperfaas-ghcr.ioahyperfaas-echolatest-456789ab");
    }
}
