use std::{io, path::PathBuf, sync::Arc};

use tokio::{net::TcpListener, sync::mpsc};
use url::Url;

use super::{
    Deletions, FunctionStore, LookUps, Lookup, StoreError, embedded,
    embedded::EmbeddedStore,
    etcd::{EtcdConfig, EtcdStore},
    http::HttpStore,
    kv::{Limits, Store},
};
use crate::{
    clock::precise,
    tls::{ClientFiles, ClientTls, ServerTls},
};

/// Which kind of store a worker uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// Those that answer at their addresses, or else a store inside the worker.
    Auto,
    /// The one that speaks HTTP.
    Http,
    /// etcd.
    Etcd,
    /// A store inside the worker.
    Embedded,
}

/// Where functions may be, and what is served.
#[derive(Debug, Clone)]
pub struct Places {
    /// Which of them are used.
    pub kind: StoreKind,
    /// The address of the registry that speaks HTTP.
    pub url: Url,
    /// To ask it, if its address is an `https://` one.
    pub tls: ClientFiles,
    /// etcd.
    pub etcd: EtcdConfig,
    /// Whether its endpoints were chosen by the user.
    pub etcd_is_given: bool,
    /// Where an etcd is served.
    pub etcd_listen: EtcdListen,
    /// The file in which the functions of a store inside the worker are kept.
    pub file: Option<PathBuf>,
}

/// Where an etcd of our own is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtcdListen {
    /// Here, when `Auto` finds no etcd.
    IfNone(String),
    /// Here.
    At(String),
    /// Nowhere.
    Off,
}

/// What an `https://` address of the registry needs.
#[derive(Debug, Clone, Default)]
pub struct StoreTls {
    /// To ask there.
    pub client: Option<ClientTls>,
    /// To serve there.
    pub server: Option<ServerTls>,
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its address.
    pub address: String,
    /// Whether this process serves it.
    pub is_here: bool,
}

/// What a worker looks functions up in.
#[derive(Debug)]
pub struct Opened {
    /// All stores as one.
    pub store: Arc<dyn FunctionStore>,
    /// The registry that speaks HTTP.
    pub registry: Option<(Url, Place)>,
    /// etcd, and below which prefix functions are there.
    pub etcd: Option<(Place, String)>,
    /// What is to be served as an etcd, and where.
    pub serve: Option<(Store, Vec<TcpListener>)>,
}

/// Why the stores cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct OpenError {
    /// The option that it is about, with its value.
    pub option: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Finds the stores, or serves one. `ids` gives the id of the function that is registered here with this
/// number.
///
/// # Errors
///
/// When an address or the file cannot be used.
pub async fn open(
    places: &Places,
    tls: &StoreTls,
    ids: impl Fn(u64) -> u128 + Send + Sync + 'static,
) -> Result<Opened, OpenError> {
    let is_auto = places.kind == StoreKind::Auto;
    let (registry, etcd) = tokio::try_join!(registry(places, tls), ask_etcd(places))?;
    let (listeners, etcd) = match (&places.etcd_listen, etcd) {
        (EtcdListen::At(address), etcd) => {
            let served = bind(address).await.map_err(|error| cannot_serve(address, &error))?;
            (Some(served), etcd)
        }
        (EtcdListen::IfNone(address), None) if is_auto => match bind(address).await {
            Ok(served) => (Some(served), None),
            // Another worker was faster to serve one.
            Err(_) if etcd_client(places)?.answers().await => (None, Some(etcd_client(places)?)),
            Err(error) => {
                tracing::warn!(%error, "no etcd answers, and none is served at {address}");
                (None, None)
            }
        },
        (_, etcd) => (None, etcd),
    };
    let prefix = &places.etcd.prefix;
    let mut stores: Vec<Arc<dyn FunctionStore>> = Vec::new();
    let own = match (&registry, &listeners) {
        (Some(Registry::Here(..)), _) | (_, Some(_)) => {
            let own = EmbeddedStore::new(own_store(places)?, prefix, ids);
            stores.push(Arc::new(own.clone()));
            Some(own)
        }
        _ => None,
    };
    if let (None, Some(file)) = (&own, &places.file) {
        tracing::warn!("--functions-file {} has no use: functions are elsewhere", file.display());
    }
    if let Some(etcd) = &etcd {
        stores.push(Arc::new(LookUps::new(etcd.clone(), etcd.names())));
    }
    let registry = registry.map(|registry| match registry {
        Registry::There(store) => {
            stores.push(Arc::new(LookUps::new(*store, places.url.as_str())));
            (places.url.clone(), Place { address: places.url.to_string(), is_here: false })
        }
        Registry::Here(listeners, url) => {
            if let Some(own) = &own {
                let server = tls.server.as_ref().filter(|_| url.scheme() == "https");
                own.serve(listeners, url.host_str().unwrap_or("localhost"), server);
            }
            let place = Place { address: url.to_string(), is_here: true };
            (url, place)
        }
    });
    let here = listeners.as_ref().and_then(|listeners| listeners.first()?.local_addr().ok());
    let here = here.map(|address| Place { address: address.to_string(), is_here: true });
    let there = etcd.map(|etcd| Place { address: etcd.names(), is_here: false });
    let store = match stores.len() {
        1 => stores.remove(0),
        _ => Arc::new(Several(stores)),
    };
    Ok(Opened {
        store,
        registry,
        etcd: here.or(there).map(|place| (place, prefix.clone())),
        serve: own.zip(listeners).map(|(own, listeners)| (own.store().clone(), listeners)),
    })
}

/// The registry that speaks HTTP.
enum Registry {
    There(Box<HttpStore>),
    Here(Vec<TcpListener>, Url),
}

/// Finds the registry, or takes its address.
async fn registry(places: &Places, tls: &StoreTls) -> Result<Option<Registry>, OpenError> {
    let Places { kind, url, .. } = places;
    let failed = |error: StoreError| OpenError {
        option: format!("--database-address {url}"),
        reason: format!("no function registry: {error}"),
    };
    let client = || match &tls.client {
        Some(tls) => Ok(HttpStore::with_tls(url.clone(), tls)),
        None => HttpStore::new(url.clone()).map_err(failed),
    };
    let is_auto = *kind == StoreKind::Auto;
    match kind {
        StoreKind::Etcd => return Ok(None),
        StoreKind::Http => return Ok(Some(Registry::There(Box::new(client()?)))),
        StoreKind::Auto if client()?.answers().await => {
            return Ok(Some(Registry::There(Box::new(client()?))));
        }
        StoreKind::Auto | StoreKind::Embedded => {}
    }
    if url.scheme() == "https" && tls.server.is_none() {
        let reason = "cannot be served without --tls-cert and --tls-key".to_owned();
        return Err(failed(StoreError { address: url.to_string(), reason }));
    }
    let host = url.host_str().unwrap_or("localhost");
    match embedded::bind(host, url.port_or_known_default().unwrap_or(80)).await {
        Ok(listeners) => {
            let mut url = url.clone();
            if let Some(bound) = listeners.first().and_then(|first| first.local_addr().ok()) {
                // The one that was asked for, unless any would do.
                let _ = url.set_port(Some(bound.port()));
            }
            Ok(Some(Registry::Here(listeners, url)))
        }
        // Another worker was faster to serve the store.
        Err(error)
            if is_auto && error.kind() == io::ErrorKind::AddrInUse && client()?.answers().await =>
        {
            Ok(Some(Registry::There(Box::new(client()?))))
        }
        // The address is another machine's, which may come up later.
        Err(error) if is_auto && error.kind() != io::ErrorKind::AddrInUse => {
            tracing::warn!("no function registry answers at {url} yet");
            Ok(Some(Registry::There(Box::new(client()?))))
        }
        Err(error) => {
            let (address, reason) = (url.to_string(), format!("cannot be served: {error}"));
            Err(failed(StoreError { address, reason }))
        }
    }
}

/// The etcd that is to be asked, if there is one.
async fn ask_etcd(places: &Places) -> Result<Option<EtcdStore>, OpenError> {
    let is_asked = match places.kind {
        StoreKind::Etcd => true,
        StoreKind::Auto if places.etcd_is_given => true,
        StoreKind::Auto if matches!(places.etcd_listen, EtcdListen::At(_)) => false,
        StoreKind::Auto => etcd_client(places)?.answers().await,
        StoreKind::Http | StoreKind::Embedded => false,
    };
    if !is_asked {
        return Ok(None);
    }
    let store = etcd_client(places)?;
    if !store.answers().await {
        tracing::warn!("no etcd answers at {} yet", store.names());
    }
    Ok(Some(store))
}

fn etcd_client(places: &Places) -> Result<EtcdStore, OpenError> {
    EtcdStore::new(&places.etcd)
        .map_err(|error| OpenError { option: "--etcd-endpoint".into(), reason: error.to_string() })
}

/// The store inside this worker. Its revisions are above those of an earlier life: they begin with the
/// microseconds of the date.
fn own_store(places: &Places) -> Result<Store, OpenError> {
    let clock = precise::start();
    let date = clock.since_epoch(clock.now()).as_micros();
    let revision = i64::try_from(date).unwrap_or(1).max(1);
    match &places.file {
        None => Ok(Store::in_memory(revision, Limits::default())),
        Some(path) => Store::in_file(path, revision, Limits::default()).map_err(|reason| {
            let option = format!("--functions-file {}", path.display());
            OpenError { option, reason: format!("cannot be used: {reason}") }
        }),
    }
}

async fn bind(address: &str) -> io::Result<Vec<TcpListener>> {
    let parsed = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = parsed else {
        let message = format!("found '{address}', expected HOST:PORT");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    };
    embedded::bind(host, port).await
}

fn cannot_serve(address: &str, error: &io::Error) -> OpenError {
    let option = format!("--etcd-listen {address}");
    OpenError { option, reason: format!("cannot serve an etcd: {error}") }
}

/// Several stores, asked one after the other.
#[derive(Debug)]
struct Several(Vec<Arc<dyn FunctionStore>>);

impl FunctionStore for Several {
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            let mut failed = None;
            for store in &self.0 {
                match store.lookup(id).await {
                    Ok(None) => {}
                    Ok(found) => return Ok(found),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            // One that did not answer may know it.
            failed.map_or(Ok(None), Err)
        })
    }

    fn deletions(&self) -> Deletions {
        let (sender, deletions) = mpsc::channel(64);
        for store in &self.0 {
            let (mut from, sender) = (store.deletions(), sender.clone());
            tokio::spawn(async move {
                loop {
                    let deletion = tokio::select! {
                        deletion = from.recv() => deletion,
                        () = sender.closed() => return,
                    };
                    let Some(deletion) = deletion else { return };
                    if sender.send(deletion).await.is_err() {
                        return;
                    }
                }
            });
        }
        deletions
    }
}
