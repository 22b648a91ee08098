//! A function store that is asked over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use url::Url;

use super::{
    FunctionSpec, FunctionStore, Lookup, StoreError, back_off, metadata::Metadata, stored::Stored,
};
use crate::tls::{ClientTls, Protocol};

/// Asks a key-value store, and asks again when it does not answer.
#[derive(Debug, Clone)]
pub struct HttpStore {
    address: Url,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// The longest that one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(1);
/// The waits before the second and the later attempts.
const BACK_OFF: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500)];
/// The most bytes of an answer that are read. A function takes a few hundred.
const MAX_ANSWER: usize = 64 * 1024;

impl HttpStore {
    /// A client of the store at this address, in plain text. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When the HTTP client cannot be set up.
    pub fn new(address: Url) -> Result<Self, StoreError> {
        match ClientTls::none() {
            Ok(tls) => Ok(Self::with_tls(address, &tls)),
            Err(error) => {
                let reason = format!("cannot be asked: {error}");
                Err(StoreError { address: address.into(), reason })
            }
        }
    }

    /// The same, which may be an `https://` address. A proxy of the environment is not used: the
    /// address is meant as it stands.
    #[must_use]
    pub fn with_tls(address: Url, tls: &ClientTls) -> Self {
        let connector = tls.for_any_host().connector(Protocol::Http1);
        let mut builder = Client::builder(TokioExecutor::new());
        let client = builder.pool_timer(TokioTimer::new()).build(connector);
        Self { address, client }
    }

    /// Registers a function with this image and common limits, and returns its new id.
    ///
    /// # Errors
    ///
    /// When the store does not answer as the protocol says. There is no second attempt.
    pub async fn register(&self, image_tag: &str) -> Result<String, StoreError> {
        let body = serde_json::json!({
            "image_tag": image_tag,
            "config": {
                "mem_limit": 134_217_728,
                "cpu_quota": 50_000,
                "cpu_period": 100_000,
                "timeout": 60,
                "max_concurrency": 500,
            },
        });
        self.post(body.to_string()).await
    }

    /// Registers a function and returns its new id.
    ///
    /// # Errors
    ///
    /// When the store does not answer as the protocol says. There is no second attempt.
    pub async fn create(&self, function: Metadata) -> Result<String, StoreError> {
        let body = serde_json::to_string(&Stored::from(function));
        self.post(body.map_err(|error| self.error(error.to_string()))?).await
    }

    async fn post(&self, function: String) -> Result<String, StoreError> {
        #[derive(serde::Deserialize)]
        struct Registered {
            function_id: String,
        }
        let answered = self.send(Method::POST, function).await;
        let (status, answer) = answered.map_err(|reason| self.error(reason))?;
        if status != StatusCode::CREATED {
            return Err(self.error(format!("answered {status} to a new function, expected 201")));
        }
        serde_json::from_slice::<Registered>(&answer)
            .map(|registered| registered.function_id)
            .map_err(|error| self.error(format!("sent no function id: {error}")))
    }

    /// Whether something that speaks HTTP is there.
    pub async fn answers(&self) -> bool {
        self.send(Method::GET, String::new()).await.is_ok()
    }

    async fn ask(&self, id: &str) -> Result<Option<FunctionSpec>, String> {
        let (status, answer) = self.send(Method::GET, id.to_owned()).await?;
        match status {
            StatusCode::OK => serde_json::from_slice::<Stored>(&answer)
                .map(|stored| Some(stored.into()))
                .map_err(|error| format!("sent something that is no function: {error}")),
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(format!("answered {other}, expected 200 or 404")),
        }
    }

    async fn send(&self, method: Method, body: String) -> Result<(StatusCode, Bytes), String> {
        let request = Request::builder()
            .method(method)
            .uri(self.address.as_str())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(|error| format!("cannot be asked: {error}"))?;
        let answer = async {
            let answer = self.client.request(request).await;
            let answer = answer.map_err(|error| failed(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => format!("sent more than {MAX_ANSWER} bytes for one function"),
                false => failed(&*error),
            })?;
            Ok((status, body.to_bytes()))
        };
        let limit = "does not answer: nothing came within 1 s";
        tokio::time::timeout(ATTEMPT, answer).await.unwrap_or_else(|_| Err(limit.to_owned()))
    }

    fn error(&self, reason: String) -> StoreError {
        StoreError { address: self.address.to_string(), reason }
    }
}

impl FunctionStore for HttpStore {
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            for wait in BACK_OFF {
                match self.ask(id).await {
                    Ok(answer) => return Ok(answer),
                    Err(reason) => {
                        tracing::debug!(registry = %self.address, reason, "asking again")
                    }
                }
                back_off(wait).await;
            }
            self.ask(id).await.map_err(|reason| self.error(reason))
        })
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> String {
    format!("does not answer: {}", root_cause(error))
}

/// What the operating system said: the last error of a chain that otherwise names itself twice.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A registry that answers every request with these bytes, whatever they are.
    async fn registry_answering(answer: &'static [u8]) -> HttpStore {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = connection.read(&mut [0; 1024]).await;
                    let _ = connection.write_all(answer).await;
                });
            }
        });
        HttpStore::new(address.parse().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_registry_that_answers_garbage_is_an_error_with_its_address() {
        for (answer, expected) in [
            (&b"SSH-2.0-OpenSSH_9\r\n"[..], "does not answer"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nblah", "no function"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "missing field `image_tag`"),
            (b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", "answered 500"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 70000\r\n\r\n", "does not answer"),
        ] {
            let registry = registry_answering(answer).await;
            let error = registry.lookup("f").await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("http://127.0.0.1:"), "{error}");
        }
    }

    #[tokio::test]
    async fn an_unknown_function_is_no_error() {
        let registry =
            registry_answering(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(registry.lookup("f").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_registry_that_accepts_and_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let registry = HttpStore::new(address.parse().unwrap()).unwrap();
        let error = registry.lookup("f").await.unwrap_err().to_string();
        assert!(error.contains(&address) && error.contains("does not answer"), "{error}");
    }

    #[tokio::test]
    async fn a_registry_that_is_not_there_is_an_error_with_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let registry = HttpStore::new(address.parse().unwrap()).unwrap();
        assert!(!registry.answers().await);
        let error = registry.lookup("f").await.unwrap_err().to_string();
        assert!(error.contains(&address) && error.contains("refused"), "{error}");
    }
}
