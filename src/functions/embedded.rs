//! A function store inside the worker, for a platform without a key-value store.
//!
//! It speaks the store's protocol, so that a leaf can register functions here:
//!
//! | request | answer |
//! |---|---|
//! | `POST /` with a function as JSON | 201 and `{"function_id": "<uuid>"}`; 400 when it is none |
//! | `GET /` with a function id as its *body* | 200 and the JSON that was posted; 404 |
//! | any other method | 405 |
//!
//! A request of a web page is refused in one line: 403 for what only browsers send, 421 for a host
//! that is not this one, 415 for a content type that no program sends with JSON.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::mpsc};

use super::{
    Deletion, Deletions, FunctionSpec, FunctionStore, Lookup, StoreError,
    etcd::{PREFIX, key},
    kv::{Keys, Limits, Refusal, Store, Write},
    metadata::Metadata,
    stored::Stored,
};
use crate::{
    http_server::{self, Hosts, refuse_browsers},
    tls::ServerTls,
};

/// The functions in a store of our own; a clone is the same store.
#[derive(Clone)]
pub struct EmbeddedStore(Arc<Shared>);

struct Shared {
    store: Store,
    /// Functions have the keys `<prefix>/<id>`.
    prefix: String,
    /// The functions that were registered so far; any thread may register one.
    count: AtomicU64,
    ids: Box<dyn Fn(u64) -> u128 + Send + Sync>,
}

/// Why a function is not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// What was posted is none.
    #[error("not a function: {0}")]
    NotAFunction(#[from] serde_json::Error),
    /// The store does not take it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// The most bytes that a function may have.
const MAX_FUNCTION: usize = 4 * 1024;
/// The most connections: a platform has a few leaves and workers.
const MAX_CONNECTIONS: usize = 256;
/// Deletions that may wait for a slow reader before the store's history has to keep them.
const WAITING: usize = 64;

impl EmbeddedStore {
    /// The functions below this prefix of a store; `ids` gives the random bits of the id of the function
    /// that is registered with this number.
    #[must_use]
    pub fn new(
        store: Store,
        prefix: impl Into<String>,
        ids: impl Fn(u64) -> u128 + Send + Sync + 'static,
    ) -> Self {
        let (prefix, count) = (prefix.into(), AtomicU64::new(0));
        Self(Arc::new(Shared { store, prefix, count, ids: Box::new(ids) }))
    }

    /// The store in which the functions are.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Answers requests on these listeners, as this host and with TLS if it is given, until the
    /// runtime ends.
    pub fn serve(&self, listeners: Vec<TcpListener>, host: &str, tls: Option<&ServerTls>) {
        let router = Router::new().route("/", get(look_up).post(register)).with_state(self.clone());
        let machine = sysinfo::System::host_name().ok();
        let configured = host.to_owned();
        let hosts = Hosts { configured, machine, option: "--database-address" };
        let router = refuse_browsers(router, hosts);
        let limits = http_server::Limits::new(MAX_CONNECTIONS, MAX_FUNCTION);
        http_server::serve("the function registry", listeners, router, limits, tls);
    }

    /// Registers a function, given as JSON, and returns its new id.
    ///
    /// # Errors
    ///
    /// When it is not JSON, not a function, or when there is no room for it.
    pub async fn create(&self, json: Bytes) -> Result<String, RegisterError> {
        let (id, post) = self.post(&json)?;
        self.0.store.write(post).await?;
        Ok(id)
    }

    /// The same, for a store in memory, which needs no waiting.
    ///
    /// # Errors
    ///
    /// Also when the store is in a file.
    pub fn register(&self, json: Bytes) -> Result<String, RegisterError> {
        let (id, post) = self.post(&json)?;
        self.0.store.write_now(post)?;
        Ok(id)
    }

    /// What adds a function, and its new id.
    fn post(&self, json: &[u8]) -> Result<(String, Write), RegisterError> {
        let function = Metadata::from(serde_json::from_slice::<Stored>(json)?);
        let id = self.new_id();
        let (key, value) = (key(&self.0.prefix, &id), Some(Bytes::from(function.json())));
        // A request's bytes are a part of a larger buffer.
        let posted = Some(Bytes::copy_from_slice(json));
        Ok((id, Write::Put { key, value, posted, must_exist: false }))
    }

    /// An id that no function has: those of a seed begin again when a worker with a file restarts.
    fn new_id(&self) -> String {
        loop {
            let number = self.0.count.fetch_add(1, Ordering::Relaxed);
            let bits = (self.0.ids)(number).to_be_bytes();
            let id = uuid::Builder::from_random_bytes(bits).into_uuid().to_string();
            if self.0.store.look_up(&key(&self.0.prefix, &id)).is_none() {
                return id;
            }
        }
    }

    /// What a `GET` with this id answers: what was posted, or what was put into etcd in the form of
    /// this registry.
    fn json(&self, id: &str) -> Option<Bytes> {
        let (posted, value) = self.0.store.posted(&key(&self.0.prefix, id))?;
        posted.or_else(|| {
            let metadata = Metadata::read(id, &value).ok()?;
            serde_json::to_vec(&Stored::from(metadata)).ok().map(Bytes::from)
        })
    }
}

/// In memory; the ids are those of the numbers themselves, the same in every run.
impl Default for EmbeddedStore {
    fn default() -> Self {
        Self::new(Store::in_memory(1, Limits::default()), PREFIX, u128::from)
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EmbeddedStore").field(&self.0.store).finish()
    }
}

impl FunctionStore for EmbeddedStore {
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        let key = key(&self.0.prefix, id);
        let found = self.0.store.look_up(&key).map(|value| Metadata::read(id, &value));
        let found = found.transpose().map_err(|error| StoreError {
            address: format!("{}, in this worker,", String::from_utf8_lossy(&key)),
            reason: format!("holds something that is no function: {error}"),
        });
        Box::pin(async move { Ok(found?.map(FunctionSpec::from)) })
    }

    fn deletions(&self) -> Deletions {
        let (sender, deletions) = mpsc::channel(WAITING);
        let (store, below) = (self.0.store.clone(), format!("{}/", self.0.prefix));
        tokio::spawn(async move {
            tokio::select! {
                () = send_deletions(&store, &below, &sender) => {}
                () = sender.closed() => {}
            }
        });
        deletions
    }
}

/// Sends the deletions of functions until the store is closed.
async fn send_deletions(store: &Store, below: &str, sender: &mpsc::Sender<Deletion>) {
    let mut from = None;
    loop {
        let watcher = store.watch(Keys::below(below), from);
        let mut watcher = match watcher {
            Ok(watcher) => watcher,
            Err(error) => return tracing::error!(%error, "deleted functions go unnoticed"),
        };
        loop {
            match watcher.changed().await {
                Ok(batch) => {
                    for event in &batch.events {
                        if let Some(id) = super::etcd::deleted(event, below)
                            && sender.send(Deletion::Function(id)).await.is_err()
                        {
                            return;
                        }
                    }
                }
                Err(Refusal::Compacted(oldest)) => {
                    from = Some(oldest);
                    if sender.send(Deletion::Missed).await.is_err() {
                        return;
                    }
                    break;
                }
                Err(_) => return,
            }
        }
    }
}

/// Binds every address that a host name stands for on this machine, such as both of `localhost`.
///
/// # Errors
///
/// When not one can be bound; then it is the first one's error.
pub async fn bind(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut listeners = Vec::new();
    let mut first_error = None;
    for address in tokio::net::lookup_host((host, port)).await? {
        match TcpListener::bind::<SocketAddr>(address).await {
            Ok(listener) => listeners.push(listener),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match first_error {
        // A port that is taken on one address would let two programs share the name.
        Some(error) if listeners.is_empty() || error.kind() == io::ErrorKind::AddrInUse => {
            Err(error)
        }
        _ => Ok(listeners),
    }
}

async fn register(State(registry): State<EmbeddedStore>, json: Bytes) -> Response {
    match registry.create(json).await {
        Ok(id) => {
            let answer = serde_json::json!({ "function_id": id }).to_string();
            (StatusCode::CREATED, [JSON], answer).into_response()
        }
        Err(error @ RegisterError::NotAFunction(_)) => {
            (StatusCode::BAD_REQUEST, error.to_string()).into_response()
        }
        Err(error @ RegisterError::Refused(_)) => {
            (StatusCode::INSUFFICIENT_STORAGE, error.to_string()).into_response()
        }
    }
}

async fn look_up(State(registry): State<EmbeddedStore>, id: Bytes) -> Response {
    let found = std::str::from_utf8(&id).ok().and_then(|id| registry.json(id.trim()));
    match found {
        Some(json) => ([JSON], json).into_response(),
        None => (StatusCode::NOT_FOUND, "no such function").into_response(),
    }
}

const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::http::HttpStore;

    async fn served() -> (EmbeddedStore, String) {
        let listeners = bind("127.0.0.1", 0).await.unwrap();
        let address = format!("http://{}", listeners[0].local_addr().unwrap());
        let registry = EmbeddedStore::default();
        registry.serve(listeners, "127.0.0.1", None);
        (registry, address)
    }

    #[tokio::test]
    async fn what_is_posted_is_what_a_get_with_the_id_as_its_body_returns() {
        let (_registry, address) = served().await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let function = r#"{"image_tag": "hyperfaas-echo:latest", "config": {"timeout": 10}}"#;
        let response = client.post(&address).body(function).send().await.unwrap();
        assert_eq!(response.status(), 201);
        let answer: serde_json::Value =
            serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let id = answer["function_id"].as_str().unwrap().to_owned();
        assert_eq!(id.len(), 36);

        let response = client.get(&address).body(id).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.text().await.unwrap(), function);
    }

    #[tokio::test]
    async fn other_requests_are_answered_as_the_protocol_says() {
        let (_registry, address) = served().await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let status =
            async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
        assert_eq!(status(client.get(&address).body("nobody")).await, 404);
        assert_eq!(status(client.get(&address)).await, 404);
        assert_eq!(status(client.put(&address).body("{}")).await, 405);
        assert_eq!(status(client.delete(&address)).await, 405);
        assert_eq!(status(client.post(&address).body("not json")).await, 400);
        assert_eq!(status(client.post(&address).body("{}")).await, 400);
        assert_eq!(status(client.post(&address).body("x".repeat(20_000))).await, 413);
        assert_eq!(status(client.get(&address).body("x".repeat(20_000))).await, 413);
    }

    #[tokio::test]
    async fn the_client_and_the_server_understand_each_other() {
        let (embedded, address) = served().await;
        let client = HttpStore::new(address.parse().unwrap()).unwrap();
        assert!(client.answers().await);
        let id = client.register("hyperfaas-echo:latest").await.unwrap();
        let found = client.lookup(&id).await.unwrap().unwrap();
        assert_eq!(found.image, "hyperfaas-echo:latest");
        assert_eq!(found.idle_timeout.unwrap().as_secs(), 60);
        assert_eq!(embedded.lookup(&id).await.unwrap(), Some(found));
        assert_eq!(client.lookup("nobody").await.unwrap(), None);
    }
}
