//! The page of metrics that a monitoring system reads: every name, unit and label is defined here.

use std::{fmt, sync::Arc, time::Duration};

use axum::{Router, http::header, routing::get};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};
use tokio::net::TcpListener;

use crate::{
    clock::Lateness,
    http_server::{self, Limits},
    record::Recorded,
    tls::ServerTls,
    worker::Usage,
};

/// What the page shows, at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// How late sleeps have ended since the start.
    pub lateness: Lateness,
    /// Each worker's name, and what its calls use.
    pub workers: Vec<(String, Usage)>,
    /// What became of the calls that are recorded, if they are.
    pub recorded: Option<Recorded>,
}

/// The upper bounds of the histogram of lateness.
const LATENESS: [Duration; 12] = [
    Duration::from_micros(20),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(200),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_secs(1),
];

/// A number of each worker, labelled with the worker's name.
struct Gauge {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    of: fn(&Usage) -> f64,
}

const GAUGES: [Gauge; 4] = [
    Gauge {
        name: "calls",
        help: "Calls that run or wait for an instance to be ready",
        unit: None,
        of: |usage| usage.calls as f64,
    },
    Gauge {
        name: "instances",
        help: "Live instances",
        unit: None,
        of: |usage| usage.instances as f64,
    },
    Gauge {
        name: "cpu_cores",
        help: "CPU that the running calls hold, in cores",
        unit: None,
        of: |usage| usage.cpu_cores,
    },
    Gauge {
        name: "ram",
        help: "Memory that the running calls hold",
        unit: Some(Unit::Bytes),
        of: |usage| usage.ram_bytes as f64,
    },
];

/// A number of the record.
struct Counter {
    name: &'static str,
    help: &'static str,
    of: fn(&Recorded) -> u64,
}

const COUNTERS: [Counter; 3] = [
    Counter {
        name: "record_rows",
        help: "Calls that were written into the record",
        of: |recorded| recorded.rows,
    },
    Counter {
        name: "record_dropped",
        help: "Calls that the record lacks because they ended faster than rows were written",
        of: |recorded| recorded.dropped,
    },
    Counter {
        name: "record_unwritten",
        help: "Calls that the record lacks because its file could not be written",
        of: |recorded| recorded.unwritten,
    },
];

const PAGE: &str = "/metrics";
/// The most connections: a few monitoring systems read the page, which is large for a large fleet.
const MAX_CONNECTIONS: usize = 64;
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves the page at `/metrics` on this listener, with TLS if it is given, until the runtime ends. `read` is called for
/// every request.
pub fn serve(
    listener: TcpListener,
    tls: Option<&ServerTls>,
    read: impl Fn() -> Snapshot + Send + Sync + 'static,
) {
    let mut registry = Registry::with_prefix("hyperfake");
    registry.register_collector(Box::new(Page(Box::new(read))));
    let registry = Arc::new(registry);
    let show = move || {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut page, &registry);
        std::future::ready(([(header::CONTENT_TYPE, CONTENT_TYPE)], page))
    };
    let router = Router::new().route(PAGE, get(show));
    http_server::serve(
        "the page of metrics",
        vec![listener],
        router,
        Limits::new(MAX_CONNECTIONS, 0),
        tls,
    );
}

struct Page(Box<dyn Fn() -> Snapshot + Send + Sync>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Snapshot { lateness, workers, recorded } = (self.0)();
        let counts = lateness.buckets(&LATENESS);
        let within: u64 = counts.iter().sum();
        let bounds = LATENESS.map(|bound| bound.as_secs_f64());
        let mut buckets: Vec<_> = bounds.into_iter().zip(counts).collect();
        buckets.push((f64::INFINITY, lateness.count() - within));
        let sum = lateness.mean().as_secs_f64() * lateness.count() as f64;
        encoder
            .encode_descriptor(
                "clock_lateness",
                "How late the sleeps of calls ended, over all workers of this process",
                Some(&Unit::Seconds),
                MetricType::Histogram,
            )?
            .encode_histogram::<NoLabelSet>(sum, lateness.count(), &buckets, None)?;
        for gauge in &GAUGES {
            let unit = gauge.unit.as_ref();
            let mut metric =
                encoder.encode_descriptor(gauge.name, gauge.help, unit, MetricType::Gauge)?;
            for (worker, usage) in &workers {
                let label = [("worker", worker.as_str())];
                metric.encode_family(&label)?.encode_gauge(&(gauge.of)(usage))?;
            }
        }
        for (counter, recorded) in
            recorded.iter().flat_map(|recorded| COUNTERS.iter().map(move |it| (it, recorded)))
        {
            encoder
                .encode_descriptor(counter.name, counter.help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, u64, u64>(&(counter.of)(recorded), None)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}
