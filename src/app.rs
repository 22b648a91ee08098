//! The composition root: the one place that picks concrete types and puts them together.

mod models;
mod page;
mod scenarios;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyperfake_predictor::{Error, Result};
use tokio::{net::TcpListener, task::JoinHandle};
use url::{Host, Url};

pub use self::models::open_models;
use crate::{
    admin::{Names, Observatory},
    catalog::Catalog,
    clock::{Lateness, LatenessMonitor, precise},
    config::Config,
    functions::{self, Deletion, Deletions, Opened, Place, Places, StoreKind, StoreTls},
    otlp::Exporter,
    record::Recorder,
    report::{ModelList, ServerSummary},
    scenario::{Purpose, Scenario, Seed, TimeScale},
    state_file::{Former, StateFile},
    tls::{ClientTls, ServerTls},
    wire::{
        self,
        instance::InstanceAddresses,
        server::Server,
        transport::sockets::{self, Bound},
    },
    worker::Worker,
};

/// One worker that serves, or many.
#[derive(Debug)]
pub struct App {
    server: Server,
    /// All of the fleet, which may be a fleet of one, and where each serves.
    workers: Vec<Arc<Worker>>,
    addresses: Vec<SocketAddr>,
    /// Where functions are registered over HTTP, and where they are in etcd.
    registry: Option<(Url, Place)>,
    etcd: Option<(Place, String)>,
    /// Whether one of them is here for other machines, in plain text.
    store_is_exposed: bool,
    /// Where instances have addresses of their own.
    instances: Arc<InstanceAddresses>,
    /// The page, if it is served.
    page: Option<page::Page>,
    tls: Option<ServerTls>,
    recorder: Option<Recorder>,
    config: Config,
    housekeeping: JoinHandle<()>,
    exporter: Option<Exporter>,
}

impl App {
    /// Opens the models, finds or runs the function registry, and starts to serve.
    ///
    /// # Errors
    ///
    /// When a model or the scenario cannot be read, when there is no model, or when an address cannot be
    /// had. Then nothing serves.
    pub async fn start(mut config: Config) -> Result<Self> {
        let scenario = scenarios::open(&mut config)?;
        let addresses = config.addresses()?;
        let page = page::bind(&config.admin)?;
        let tls = config.tls.clone().map(ServerTls::load).transpose()?;
        let recorder =
            config.record.clone().map(|to| Recorder::start(to, precise::start(), wire::kind_name));
        let recorder = recorder.transpose().map_err(|error| error.at("--record"))?;
        let exporter = config.otlp.as_ref();
        let exporter =
            exporter.map(|otlp| Exporter::start(otlp, precise::start(), wire::kind_name));
        let exporter = exporter.transpose().map_err(|error| error.at("--otlp"))?;
        let preparation = Server::prepare(&config.server);
        let catalog = Arc::new(open_models(&config.models, config.extrapolation)?);
        sockets::raise_limit();
        let sockets = bind(&addresses)?;
        let serving: Vec<_> = sockets.iter().map(|(address, _)| *address).collect();
        let instances = InstanceAddresses::open(&config.instances, &serving)?;
        let seed = Seed::new(config.seed.unwrap_or_else(|| fastrand::u64(..)));
        let opened = open_stores(&config.places, tls.as_ref(), seed).await?;
        let Opened { store, registry, etcd, serve } = opened;
        let is_exposed = registry.as_ref().is_some_and(|(url, place)| {
            place.is_here && url.scheme() == "http" && !is_loopback(url)
        });
        let mut listeners = serve.iter().flat_map(|(_, listeners)| listeners);
        let store_is_exposed = is_exposed || listeners.any(is_reached_by_others);
        let functions = store.deletions();
        let state = config.state_file.as_deref().map(StateFile::open).transpose()?;
        let (mut workers, mut addresses, mut serving) = (Vec::new(), Vec::new(), Vec::new());
        let behaviour = Arc::new(config.worker.clone());
        // Without a page nothing is added up.
        let observatory = page.as_ref().map(|_| {
            let by_instance = config.admin.names.contains(&Names::Cadvisor);
            let scale = config.worker.layers.time_scale;
            Observatory::new(config.server.threads, scale, by_instance)
        });
        for (index, (address, socket)) in sockets.into_iter().enumerate() {
            let (behaviour, catalog) = (Arc::clone(&behaviour), Arc::clone(&catalog));
            let name = address.to_string();
            let (seed, store) = (seed.worker(index), Arc::clone(&store));
            let worker = Worker::new(name, seed, behaviour, catalog, store);
            let worker = worker.with_scenario(index, Arc::clone(&scenario), precise::now());
            let mut worker = worker.with_addresses(instances.addresses.of_worker(index));
            if let Some(observatory) = &observatory {
                let watcher = observatory.watcher(index);
                worker = worker.with_sink(watcher.clone()).with_observer(watcher);
            }
            if let Some(recorder) = &recorder {
                worker = worker.with_sink(recorder.sink());
            }
            if let Some((file, former)) = &state {
                let own = former.iter().filter(|former| former.worker == index);
                let own = own.map(|former| (former.instance, Arc::clone(&former.function)));
                worker = worker.with_observer(file.of_worker(index)).with_former(own);
            }
            if let Some(exporter) = &exporter {
                worker = worker.with_sink(exporter.sink());
            }
            let worker = Arc::new(worker);
            workers.push(Arc::clone(&worker));
            addresses.push(address);
            serving.push((worker, socket));
        }
        let own = Arc::clone(&instances.addresses);
        let (on_stop, stagger) = (config.on_stop, config.stagger);
        let (limits, encryption) = (&config.server, tls.clone());
        let server =
            Server::start(preparation, serving, instances, on_stop, limits, encryption, stagger);
        let mut server = server
            .await
            .map_err(|error| Error::unavailable("cannot start to serve").with_source(error))?;
        if let Some((store, listeners)) = serve {
            server.serve_etcd(store, listeners, config.server.messages);
        }
        tokio::spawn(end_deleted(functions, workers.clone()));
        if let Some((file, former)) = state {
            tokio::spawn(forget(file, former, config.worker.orphan_timeout));
        }
        let page = match (page, observatory) {
            (Some(bound), Some(observatory)) => {
                let clocks = server.clocks();
                let (tls, recorder) = (tls.as_ref(), recorder.as_ref());
                let fleet = page::fleet(&config, &workers, &addresses, clocks, recorder);
                Some(page::serve(bound, &config.admin, fleet, observatory, tls)?)
            }
            _ => None,
        };
        let monitor = LatenessMonitor::new(server.clocks(), config.lateness_warn);
        let housekeeping = tokio::spawn(housekeeping(catalog, workers.clone(), monitor));
        Ok(Self {
            server,
            workers,
            addresses,
            registry,
            etcd,
            store_is_exposed,
            instances: own,
            page,
            tls,
            recorder,
            config,
            housekeeping,
            exporter,
        })
    }

    /// Where it serves; the first worker of a fleet.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where each worker serves.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the page and the metrics are served, if they are.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.page.as_ref().map(|page| page.address)
    }

    /// Where functions are registered over HTTP, or would be: with etcd alone they are not.
    #[must_use]
    pub fn registry_url(&self) -> &Url {
        self.registry.as_ref().map_or(&self.config.places.url, |(url, _)| url)
    }

    /// The endpoints of the etcd in which functions are, be it served here or asked.
    #[must_use]
    pub fn etcd_address(&self) -> Option<&str> {
        self.etcd.as_ref().map(|(place, _)| &*place.address)
    }

    /// The worker itself; the first one of a fleet.
    #[must_use]
    pub fn worker(&self) -> &Arc<Worker> {
        &self.workers[0]
    }

    /// All workers.
    #[must_use]
    pub fn workers(&self) -> &[Arc<Worker>] {
        &self.workers
    }

    /// What was loaded and what serves where, for the person who started it.
    #[must_use]
    pub fn summary(&self) -> String {
        let Config { worker, server, .. } = &self.config;
        let models = self.worker().catalog().models().iter();
        let models = models.map(|model| (model.image.to_string(), model.predictor.as_ref()));
        let scale = worker.layers.time_scale;
        let summary = ServerSummary {
            models: ModelList::new(models, &worker.layers.limits),
            addresses: &self.addresses,
            stagger: self.config.stagger,
            threads: server.threads,
            cpus: worker.cpus,
            memory_bytes: worker.memory_bytes,
            container_runtime: worker.runtime.to_string(),
            cold_start: worker.cold_start.unwrap_or(worker.runtime.cold_start()),
            scenario: self.config.scenario.source.as_ref().map(ToString::to_string),
            time_scale: (scale != TimeScale::ONE).then(|| scale.to_string()),
            registry: self.registry.as_ref().map(|(_, place)| place),
            etcd: self.etcd.as_ref().map(|(place, prefix)| (place, &**prefix)),
            instances: self.instances.summary(),
            store_is_exposed: self.store_is_exposed,
            page: self.page.as_ref().map(|page| (page.address, page.wanted)),
            is_metrics_alone: self
                .page
                .as_ref()
                .is_some_and(|page| self.config.admin.is_metrics_alone(page.address)),
            tls: self.tls.as_ref().map(ServerTls::files),
        };
        summary.text()
    }

    /// Reads the files of TLS again, for connections that are accepted from now on. Returns whether
    /// there are any.
    ///
    /// # Errors
    ///
    /// When they cannot be used; then everything stays as it is.
    pub fn reload_tls(&self) -> Result<bool> {
        self.tls.as_ref().map(ServerTls::reload).transpose().map(|reloaded| reloaded.is_some())
    }

    /// Opens the file of the record again by its path, if there is one.
    pub fn reopen_record(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.reopen();
        }
    }

    /// Stops accepting, lets the calls end within the grace period or until `hurry` ends, and
    /// returns how late the calls' sleeps ended.
    pub async fn shut_down(self, hurry: impl Future<Output = ()>) -> Lateness {
        self.housekeeping.abort();
        // What came after the last report.
        let now = precise::now();
        self.worker().catalog().models().iter().for_each(|model| model.report(now));
        let lateness = self.server.shut_down(self.config.shutdown_grace, hurry).await;
        self.recorder.map(Recorder::finish);
        self.exporter.map(Exporter::finish);
        lateness
    }
}

fn is_reached_by_others(listener: &TcpListener) -> bool {
    listener.local_addr().is_ok_and(|address| !address.ip().to_canonical().is_loopback())
}

/// Whether only this machine can reach an address.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// Reads the scenario that was chosen, and lets the configuration have what it states and the command line
/// does not.
///
/// # Errors
///
/// When it cannot be read, or something in it is wrong.
pub fn open_scenario(config: &mut Config) -> Result<Arc<Scenario>> {
    scenarios::open(config)
}

const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(5);

/// Ends the instances of functions that are deleted where they were registered.
async fn end_deleted(mut deletions: Deletions, workers: Vec<Arc<Worker>>) {
    let clock = precise::start();
    while let Some(deletion) = deletions.recv().await {
        for worker in &workers {
            match &deletion {
                Deletion::Function(id) => worker.function_deleted(id, &clock),
                Deletion::Missed => worker.look_up_again(&clock).await,
            }
        }
    }
}

/// Reports what is due to be reported, and evicts what has expired.
async fn housekeeping(
    catalog: Arc<Catalog>,
    workers: Vec<Arc<Worker>>,
    mut monitor: LatenessMonitor,
) {
    let clock = precise::start();
    loop {
        clock.sleep_until(clock.now() + HOUSEKEEPING_INTERVAL).await;
        let now = clock.now();
        workers.iter().for_each(|worker| worker.housekeeping(now, &clock));
        catalog.models().iter().for_each(|model| model.report(now));
        if let Some(late) = monitor.check(now) {
            let (sleeps, p99, max) = (late.count(), late.quantile(0.99), late.max());
            tracing::warn!(sleeps, ?p99, ?max, "sleeps end late: calls take longer than predicted");
        }
    }
}

/// Lets the file forget the instances of a former life when every leaf had the time to hear of them.
async fn forget(file: Arc<StateFile>, former: Vec<Former>, time: Duration) {
    let clock = precise::start();
    clock.sleep_until(clock.now() + time).await;
    file.forget(&former);
}

/// Takes all addresses, or none.
fn bind(addresses: &[SocketAddr]) -> Result<Vec<(SocketAddr, Bound)>> {
    /// The most that are named when they cannot be had.
    const NAMED: usize = 10;
    let (mut bound, mut refused) = (Vec::new(), Vec::new());
    for address in addresses {
        match sockets::bind(*address).and_then(|socket| Ok((socket.address()?, socket))) {
            Ok(taken) => bound.push(taken),
            Err(error) => refused.push((address.to_string(), error)),
        }
    }
    let not_named = refused.len().saturating_sub(NAMED);
    let mut names: Vec<_> = refused.iter().take(NAMED).map(|(name, _)| name.clone()).collect();
    if not_named > 0 {
        names.push(format!("{not_named} more"));
    }
    if let Some((_, error)) = refused.into_iter().next() {
        let message = format!("cannot serve on {}", names.join(", "));
        let error = Error::unavailable(message).with_source(error);
        return Err(error.at("--address"));
    }
    if let (Some(asked), Some((address, _))) = (addresses.first(), bound.first())
        && asked.is_ipv6() != address.is_ipv6()
    {
        tracing::warn!("this machine has no IPv6: serving on {address} instead of {asked}");
    }
    Ok(bound)
}

async fn open_stores(places: &Places, server: Option<&ServerTls>, seed: Seed) -> Result<Opened> {
    let draws = seed.function("");
    let ids = move |number| {
        let half = |purpose| u128::from(draws.bits(number, purpose));
        half(Purpose::FunctionId) << 64 | half(Purpose::FunctionIdRest)
    };
    // A file that was named is read, so that one that is not there is no surprise later.
    let is_asked = places.tls.ca.is_some()
        || (places.url.scheme() == "https" && places.kind != StoreKind::Embedded);
    let client = is_asked.then(|| ClientTls::load(&places.tls)).transpose()?;
    let tls = StoreTls { client, server: server.cloned() };
    let opened = functions::open(places, &tls, ids).await;
    opened.map_err(|error| Error::unavailable(error.reason).at(error.option))
}
