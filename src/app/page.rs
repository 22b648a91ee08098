//! Where the page is served, and of what.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use hyperfake_predictor::{Error, Result};

use crate::{
    admin::{self, Admin, Fleet, Observatory},
    clock::Clock,
    config::Config,
    record::Recorder,
    tls::ServerTls,
    wire::transport::{
        addresses::look_up,
        sockets::{self, Bound},
    },
    worker::Worker,
};

/// The page while it is served.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) address: SocketAddr,
    /// The port that was wanted, if another one was taken.
    pub(super) wanted: Option<u16>,
    _admin: Admin,
}

/// The page's address before it is served, and the port that was wanted if another one was taken.
pub(super) type BoundPage = (TcpListener, Option<u16>);

/// Takes the address of the page, if it is served.
pub(super) fn bind(config: &admin::Config) -> Result<Option<BoundPage>> {
    let bind = |address| {
        sockets::bind(address).and_then(Bound::listen).and_then(tokio::net::TcpListener::into_std)
    };
    config.bind(look_up, bind)
}

/// What the page is about: these workers, and what is recorded of them.
pub(super) fn fleet(
    config: &Config,
    workers: &[Arc<Worker>],
    addresses: &[SocketAddr],
    clocks: Vec<Clock>,
    recorder: Option<&Recorder>,
) -> Fleet {
    Fleet {
        workers: workers.to_vec(),
        names: addresses.iter().map(ToString::to_string).collect(),
        clocks,
        run: fastrand::u64(..),
        scenario: config.scenario.source.clone(),
        overrides: config.scenario.overrides,
        recorded: recorder.map(|recorder| Box::new(recorder.counter()) as _),
    }
}

/// Serves the page.
pub(super) fn serve(
    (listener, wanted): BoundPage,
    config: &admin::Config,
    fleet: Fleet,
    observatory: Arc<Observatory>,
    tls: Option<&ServerTls>,
) -> Result<Page> {
    let cannot = |error: std::io::Error| {
        Error::unavailable("cannot start to serve the page").with_source(error).at("--http")
    };
    let address = listener.local_addr().map_err(cannot)?;
    let admin = Admin::start(config, listener, tls, fleet, observatory).map_err(cannot)?;
    Ok(Page { address, wanted, _admin: admin })
}
