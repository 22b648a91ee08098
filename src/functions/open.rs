use std::{io, sync::Arc};

use url::Url;

use super::{FunctionStore, StoreError, embedded, embedded::EmbeddedStore, http::HttpStore};
use crate::tls::{ClientTls, ServerTls};

/// Which kind of store a worker uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// The one that answers at the address, or else a store inside the worker.
    Auto,
    /// The one at the address.
    Http,
    /// A store inside the worker, served at the address.
    Embedded,
}

/// Where functions are registered.
#[derive(Debug, Clone)]
pub struct Place {
    /// The store's address.
    pub url: Url,
    /// Whether this process serves it.
    pub is_here: bool,
}

/// What an `https://` address needs.
#[derive(Debug, Clone, Default)]
pub struct StoreTls {
    /// To ask there.
    pub client: Option<ClientTls>,
    /// To serve there.
    pub server: Option<ServerTls>,
}

/// Finds the store at an address, or serves one there. `ids` gives the id of the function that is
/// registered with this number, for a store that is served.
///
/// # Errors
///
/// When the address cannot be used as this kind of store.
pub async fn open(
    url: &Url,
    kind: StoreKind,
    tls: &StoreTls,
    ids: impl Fn(u64) -> u128 + Send + Sync + 'static,
) -> Result<(Arc<dyn FunctionStore>, Place), StoreError> {
    let there = |client: HttpStore| -> (Arc<dyn FunctionStore>, Place) {
        (Arc::new(client), Place { url: url.clone(), is_here: false })
    };
    let client = || match &tls.client {
        Some(tls) => Ok(HttpStore::with_tls(url.clone(), tls)),
        None => HttpStore::new(url.clone()),
    };
    let is_auto = kind == StoreKind::Auto;
    if kind == StoreKind::Http || (is_auto && client()?.answers().await) {
        return Ok(there(client()?));
    }
    let server = match url.scheme() {
        "https" if tls.server.is_none() => {
            let reason = "cannot be served without --tls-cert and --tls-key".to_owned();
            return Err(StoreError { address: url.to_string(), reason });
        }
        "https" => tls.server.clone(),
        _ => None,
    };
    let host = url.host_str().unwrap_or("localhost");
    match embedded::bind(host, url.port_or_known_default().unwrap_or(80)).await {
        Ok(listeners) => {
            let mut url = url.clone();
            if let Some(bound) = listeners.first().and_then(|first| first.local_addr().ok()) {
                // The one that was asked for, unless any would do.
                let _ = url.set_port(Some(bound.port()));
            }
            let store = EmbeddedStore::new(ids);
            store.serve_with(listeners, server.as_ref());
            Ok((Arc::new(store), Place { url, is_here: true }))
        }
        // Another worker was faster to serve the store.
        Err(error)
            if is_auto && error.kind() == io::ErrorKind::AddrInUse && client()?.answers().await =>
        {
            Ok(there(client()?))
        }
        // The address is another machine's, which may come up later.
        Err(error) if is_auto && error.kind() != io::ErrorKind::AddrInUse => {
            tracing::warn!("no function registry answers at {url} yet");
            Ok(there(client()?))
        }
        Err(error) => {
            let reason = format!("cannot be served: {error}");
            Err(StoreError { address: url.to_string(), reason })
        }
    }
}
