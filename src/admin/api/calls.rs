use serde::Serialize;

use crate::{
    admin::{
        fleet::unix,
        numbers::{rounded, seconds},
        observe::CallSummary,
        snapshot::place,
        view::View,
    },
    scenario::Cause,
};

/// The slowest calls of the last minutes and the latest that failed.
#[derive(Debug, Serialize)]
struct Calls {
    version: u64,
    slowest: Vec<Call>,
    failed: Vec<Call>,
}

#[derive(Debug, Serialize)]
struct Call {
    at: f64,
    worker: u32,
    function: u32,
    instance: Option<String>,
    number: Option<u64>,
    cold: bool,
    outcome: &'static str,
    reason: String,
    fault: Option<String>,
    total_s: f64,
    queue_s: f64,
    cold_start_s: f64,
    run_s: Option<f64>,
    predicted_s: Option<f64>,
    planned_s: Option<f64>,
    slowdown: Option<f64>,
    lateness_s: f64,
    cpu_cores: Option<f64>,
    ram_bytes: Option<u64>,
    features: Option<Features>,
}

#[derive(Debug, Serialize)]
struct Features {
    request_bytes: f64,
    function_instances: f64,
    active_calls: f64,
    worker_cpu_cores: f64,
    worker_ram_bytes: f64,
}

pub(in crate::admin) fn calls(view: &View) -> String {
    let state = view.up_to_date();
    let notable = &state.observed.notable;
    let show = |call: &CallSummary| {
        let times = &call.times;
        Call {
            at: unix(&view.clock, call.arrived),
            worker: call.worker,
            function: place(&state.observed.totals, &call.function),
            instance: call.instance.map(|instance| instance.text()),
            number: call.number,
            cold: call.cold,
            outcome: call.outcome.name(),
            reason: call.reason.to_string(),
            fault: match &call.reason {
                Cause::Fault(name) => Some(name.to_string()),
                _ => None,
            },
            total_s: seconds(times.total),
            queue_s: seconds(times.queue),
            cold_start_s: seconds(times.cold_start),
            run_s: times.run.map(seconds),
            predicted_s: times.predicted.map(seconds),
            planned_s: times.planned.map(seconds),
            slowdown: times.slowdown().map(rounded),
            lateness_s: seconds(times.lateness()),
            cpu_cores: call.cpu_cores.map(rounded),
            ram_bytes: call.ram_bytes,
            features: call.features.map(|features| Features {
                request_bytes: features.request_bytes,
                function_instances: features.function_instances,
                active_calls: features.active_calls,
                worker_cpu_cores: rounded(features.worker_cpu_cores),
                worker_ram_bytes: features.worker_ram_bytes,
            }),
        }
    };
    let calls = Calls {
        version: notable.version,
        slowest: notable.slowest().into_iter().map(show).collect(),
        failed: notable.failed().into_iter().map(show).collect(),
    };
    serde_json::to_string(&calls).unwrap_or_default()
}
