//! HTTP for people and for monitoring systems: the page, `/metrics`, `/healthz`, `/readyz`, and
//! `/api/v1`, all on one port.
//!
//! All of it runs on a thread of its own with a low priority, which adds up what the threads of calls
//! have left in [`Observatory`]: whatever readers do, calls do not wait for them.

mod api;
mod cache;
mod changes;
mod config;
mod extract;
mod fleet;
mod guard;
mod metrics;
mod numbers;
mod observe;
mod paced;
mod page;
mod routes;
mod scenario;
mod snapshot;
mod stream;
mod table;
mod view;

use std::{io, net::TcpListener, sync::Arc};

use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::{
    config::{Config, DEFAULT_PORTS, Listen, Token},
    fleet::Fleet,
    metrics::Names,
    observe::{Observatory, Watcher},
};
use self::{guard::Guard, view::View};
use crate::{
    http_server::{self, Hosts, Limits},
    tls::ServerTls,
};

/// The page while it is served: until this is dropped.
#[derive(Debug)]
pub struct Admin {
    _stop: DropGuard,
}

/// The most connections: some browsers, of which each has six, and some monitoring systems.
const MAX_CONNECTIONS: usize = 64;
/// The largest body: a scenario.
const MAX_BODY: usize = 256 << 10;
/// How much less than calls the page's thread may have of the CPU: as `nice` counts it.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

impl Admin {
    /// Serves what is observed of these workers on this listener, with TLS if it is given.
    ///
    /// # Errors
    ///
    /// When the system has no more threads or descriptors.
    pub fn start(
        config: &Config,
        listener: TcpListener,
        tls: Option<&ServerTls>,
        fleet: Fleet,
        observatory: Arc<Observatory>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let machine = sysinfo::System::host_name().ok();
        let configured = config.listen.host().to_owned();
        let is_metrics_alone = config.is_metrics_alone(listener.local_addr()?);
        let guard = Guard {
            hosts: Hosts { configured, machine, option: "--http" },
            token: config.token.clone(),
            admin: config.admin,
            is_metrics_alone,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (config, tls) = (config.clone(), tls.cloned());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let run = move || {
            runtime.block_on(async move {
                give_way();
                // Its clock belongs to this thread.
                let view = View::new(fleet, observatory);
                let router = routes::router(Arc::clone(&view), &config, guard);
                let limits = Limits::new(MAX_CONNECTIONS, MAX_BODY);
                http_server::serve("the page", vec![listener], router, limits, tls.as_ref());
                tokio::select! {
                    () = view.run() => {}
                    () = stopped.cancelled() => {}
                }
            });
        };
        std::thread::Builder::new().name("page".into()).spawn(run)?;
        Ok(Self { _stop: stop.drop_guard() })
    }
}

/// Lets the threads of calls go first.
fn give_way() {
    // Elsewhere this would be the priority of the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the page's thread has the same priority as calls");
    }
}
