//! A function store inside the worker, for a platform without a key-value store.
//!
//! It speaks the store's protocol, so that a leaf can register functions here:
//!
//! | request | answer |
//! |---|---|
//! | `POST /` with a function as JSON | 201 and `{"function_id": "<uuid>"}`; 400 when it is none |
//! | `GET /` with a function id as its *body* | 200 and the JSON that was posted; 404 |
//! | any other method | 405 |

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
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use super::{FunctionSpec, FunctionStore, Lookup, stored::Stored};
use crate::tls::{HttpListener, ServerTls};

/// Functions in memory; a clone is the same store.
#[derive(Clone)]
pub struct EmbeddedStore(Arc<Shared>);

struct Shared {
    functions: papaya::HashMap<String, Registered>,
    /// The functions that were registered so far; any thread may register one.
    count: AtomicU64,
    ids: Box<dyn Fn(u64) -> u128 + Send + Sync>,
}

#[derive(Debug, Clone)]
struct Registered {
    function: FunctionSpec,
    /// As it was posted.
    json: Bytes,
}

/// The most functions that are kept, so that no client can fill the memory.
const MAX_FUNCTIONS: usize = 100_000;
/// The most bytes that a function may have.
const MAX_FUNCTION: usize = 4 * 1024;

impl EmbeddedStore {
    /// A store without functions; `ids` gives the random bits of the id of the function that is
    /// registered with this number.
    #[must_use]
    pub fn new(ids: impl Fn(u64) -> u128 + Send + Sync + 'static) -> Self {
        let (functions, count) = (papaya::HashMap::new(), AtomicU64::new(0));
        Self(Arc::new(Shared { functions, count, ids: Box::new(ids) }))
    }

    /// Answers requests on these listeners, in plain text, until the runtime ends.
    pub fn serve(&self, listeners: Vec<TcpListener>) {
        self.serve_with(listeners, None);
    }

    /// The same, with TLS if it is given.
    pub fn serve_with(&self, listeners: Vec<TcpListener>, tls: Option<&ServerTls>) {
        let router = Router::new()
            .route("/", get(look_up).post(register))
            .layer(DefaultBodyLimit::max(MAX_FUNCTION))
            .with_state(self.clone());
        for listener in listeners {
            let (router, listener) = (router.clone(), HttpListener::new(listener, tls.cloned()));
            tokio::spawn(async move {
                if let Err(error) = axum::serve(listener, router).await {
                    tracing::error!(%error, "the function registry ended");
                }
            });
        }
    }

    /// Registers a function, given as JSON, and returns its new id.
    ///
    /// # Errors
    ///
    /// When it is not JSON, or not a function.
    pub fn register(&self, json: Bytes) -> Result<String, serde_json::Error> {
        let function = serde_json::from_slice::<Stored>(&json)?.into();
        let number = self.0.count.fetch_add(1, Ordering::Relaxed);
        let bits = (self.0.ids)(number).to_be_bytes();
        let id = uuid::Builder::from_random_bytes(bits).into_uuid().to_string();
        self.0.functions.pin().insert(id.clone(), Registered { function, json });
        Ok(id)
    }
}

/// The ids are those of the numbers themselves, the same in every run.
impl Default for EmbeddedStore {
    fn default() -> Self {
        Self::new(u128::from)
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let functions = self.0.functions.len();
        f.debug_struct("EmbeddedStore").field("functions", &functions).finish_non_exhaustive()
    }
}

impl FunctionStore for EmbeddedStore {
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        let found = self.0.functions.pin().get(id).map(|stored| stored.function.clone());
        Box::pin(async move { Ok(found) })
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
    if registry.0.functions.len() >= MAX_FUNCTIONS {
        let text = format!("{MAX_FUNCTIONS} functions are registered, and no more are kept");
        return (StatusCode::INSUFFICIENT_STORAGE, text).into_response();
    }
    match registry.register(json) {
        Ok(id) => {
            let answer = serde_json::json!({ "function_id": id }).to_string();
            (StatusCode::CREATED, [JSON], answer).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("not a function: {error}")).into_response(),
    }
}

async fn look_up(State(registry): State<EmbeddedStore>, id: Bytes) -> Response {
    let found = std::str::from_utf8(&id)
        .ok()
        .and_then(|id| registry.0.functions.pin().get(id.trim()).map(|stored| stored.json.clone()));
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
        registry.serve(listeners);
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
