//! The worker's types as messages of this API.

use hyperfake_proto::controller::{self, StartResponse, StatusUpdate, common};

use crate::{
    clock::Clock,
    wire::events::timestamp,
    worker::{Event, EventKind, Instance, InstanceId, Usage},
};

pub(crate) fn start_response(instance: &Instance) -> StartResponse {
    StartResponse {
        instance_id: Some(instance_id(instance.id)),
        instance_ip: instance.id.address().to_string(),
        instance_name: instance.id.name(),
    }
}

pub(crate) fn instance_id(id: InstanceId) -> common::InstanceId {
    common::InstanceId { id: id.text() }
}

pub(crate) fn status_update(event: &Event, clock: &Clock) -> StatusUpdate {
    let kind = match event.kind {
        EventKind::Start => controller::Event::Start,
        EventKind::Running => controller::Event::Running,
        EventKind::Call => controller::Event::Call,
        EventKind::Response => controller::Event::Response,
        EventKind::Stop => controller::Event::Stop,
        EventKind::Timeout => controller::Event::Timeout,
        EventKind::Down | EventKind::Killed => controller::Event::Down,
    };
    let status =
        if event.failed { controller::Status::Failed } else { controller::Status::Success };
    StatusUpdate {
        instance_id: Some(instance_id(event.instance)),
        r#type: controller::VirtualizationType::TypeContainer.into(),
        event: kind.into(),
        status: status.into(),
        function_id: Some(common::FunctionId { id: event.function.to_string() }),
        timestamp: Some(timestamp(clock.since_epoch(event.at))),
    }
}

pub(crate) fn metrics_update(usage: &Usage, cpus: usize) -> controller::MetricsUpdate {
    controller::MetricsUpdate {
        used_ram_percent: usage.ram_percent,
        cpu_percent_percpu: vec![usage.cpu_percent; cpus],
    }
}
