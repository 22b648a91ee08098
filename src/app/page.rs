//! The page of metrics: where it is served, and what it shows.

use std::{net::SocketAddr, sync::Arc};

use hyperfake_predictor::{Error, Result};
use tokio::net::TcpListener;

use crate::{
    admin::metrics::Snapshot,
    clock::{Clock, Lateness},
    record::Recorder,
    wire::transport::sockets::{self, Bound},
    worker::Worker,
};

/// What the page of metrics shows whenever it is asked for.
pub(super) fn snapshots(
    clocks: Vec<Clock>,
    workers: &[Arc<Worker>],
    addresses: &[SocketAddr],
    recorder: Option<&Recorder>,
) -> impl Fn() -> Snapshot + Send + Sync + use<> {
    let names = addresses.iter().map(ToString::to_string);
    let named: Vec<_> = names.zip(workers.iter().cloned()).collect();
    let recorded = recorder.map(Recorder::counter);
    move || Snapshot {
        lateness: Lateness::of(&clocks),
        workers: named.iter().map(|(name, worker)| (name.clone(), worker.usage())).collect(),
        recorded: recorded.as_ref().map(|recorded| recorded()),
    }
}

pub(super) fn bind(address: SocketAddr) -> Result<TcpListener> {
    sockets::bind(address).and_then(Bound::listen).map_err(|error| {
        Error::unavailable(format!("cannot serve on {address}"))
            .with_source(error)
            .at("--metrics-address")
    })
}
