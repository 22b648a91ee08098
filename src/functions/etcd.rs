//! A function store that is asked in etcd, as today's platform keeps functions there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyperfake_proto::etcd::{
    DeleteRangeRequest, Event, PutRequest, RangeRequest, RangeResponse, event::EventType,
    kv_client::KvClient, watch_client::WatchClient,
};
use tokio::sync::mpsc;
use tonic::{
    Code, Response, Status,
    transport::{Channel, Endpoint},
};

use self::watch::send_deletions;
use super::{
    Deletions, FunctionSpec, FunctionStore, Lookup, StoreError, back_off, kv::Keys,
    metadata::Metadata,
};

mod watch;

/// Where functions are kept, unless a prefix is given.
pub const PREFIX: &str = "hyperfaas/functions";

/// How etcd is asked.
#[derive(Debug, Clone)]
pub struct EtcdConfig {
    /// Its members, as `HOST:PORT` or `http://HOST:PORT`.
    pub endpoints: Vec<String>,
    /// Functions have the keys `<prefix>/<id>`. It has no slash at its end.
    pub prefix: String,
    /// How long connecting and an answer may take, each time that a member is asked.
    pub timeout: Duration,
}

/// Asks etcd: one member after the other until one answers.
#[derive(Debug, Clone)]
pub struct EtcdStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    members: Vec<Member>,
    /// The one that answered last. Starts on any thread ask it first.
    current: AtomicUsize,
    prefix: String,
    timeout: Duration,
}

#[derive(Debug)]
struct Member {
    name: String,
    channel: Channel,
}

/// The waits before the members are asked again.
const BACK_OFF: [Duration; 1] = [Duration::from_millis(200)];
/// A member that says nothing for this long while something is waited for is asked for a sign of life,
/// and abandoned when none comes within the time that an answer may take.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// The most bytes of an answer. A function takes a few hundred, and all are listed at once.
const MAX_ANSWER: usize = 64 << 20;

/// The key of a function.
#[must_use]
pub fn key(prefix: &str, id: &str) -> Bytes {
    format!("{prefix}/{id}").into()
}

/// The id of the function that this event deleted, if it deleted one below this prefix, which ends with
/// a slash.
pub(super) fn deleted(event: &Event, below: &str) -> Option<String> {
    let kv = event.kv.as_ref().filter(|_| event.r#type() == EventType::Delete)?;
    std::str::from_utf8(&kv.key).ok()?.strip_prefix(below).map(str::to_owned)
}

/// A member of etcd, from `HOST:PORT` or `http://HOST:PORT`.
///
/// # Errors
///
/// What was expected instead.
pub fn endpoint(text: &str) -> Result<Endpoint, String> {
    let expected = || format!("found '{text}', expected HOST:PORT or http://HOST:PORT");
    let address = match text.split_once("://") {
        Some(("http", address)) => address.trim_end_matches('/'),
        Some(("https", _)) => return Err(format!("{}: TLS is not supported", expected())),
        Some(_) => return Err(expected()),
        None => text,
    };
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    match endpoint {
        Ok(endpoint) if port.is_some_and(|port| port > 0) && !address.contains('/') => Ok(endpoint),
        _ => Err(expected()),
    }
}

impl EtcdStore {
    /// A client of these members. Nothing is sent yet. Called where tasks can be spawned.
    ///
    /// # Errors
    ///
    /// When there is no endpoint, or one cannot be an address.
    pub fn new(config: &EtcdConfig) -> Result<Self, StoreError> {
        let EtcdConfig { endpoints, prefix, timeout } = config.clone();
        let members = endpoints.into_iter().map(|name| {
            let reason = |reason| StoreError { address: name.clone(), reason };
            let endpoint = endpoint(&name).map_err(reason)?;
            let endpoint = endpoint.connect_timeout(timeout).tcp_nodelay(true);
            let endpoint = endpoint.http2_keep_alive_interval(SIGN_OF_LIFE);
            let channel = endpoint.keep_alive_timeout(timeout).connect_lazy();
            Ok(Member { name, channel })
        });
        let members = members.collect::<Result<Vec<_>, StoreError>>()?;
        if members.is_empty() {
            let reason = "has no endpoint: expected HOST:PORT".to_owned();
            return Err(StoreError { address: "etcd".into(), reason });
        }
        let current = AtomicUsize::new(0);
        Ok(Self(Arc::new(Shared { members, current, prefix, timeout })))
    }

    /// The endpoints, for people.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<_> = self.0.members.iter().map(|member| &*member.name).collect();
        names.join(", ")
    }

    /// Whether an etcd is there; it is asked once.
    pub async fn answers(&self) -> bool {
        let (key, range_end) = self.below().into_request();
        let request = RangeRequest { key, range_end, count_only: true, ..RangeRequest::default() };
        self.try_members(&|mut member: Kv| {
            let request = request.clone();
            async move { member.range(request).await }
        })
        .await
        .is_ok()
    }

    /// The function of this id, as it is stored.
    ///
    /// # Errors
    ///
    /// When no member answers, or with something that is no function.
    pub async fn get(&self, id: &str) -> Result<Option<Metadata>, StoreError> {
        let key = key(&self.0.prefix, id);
        let found = self.range(RangeRequest { key, ..RangeRequest::default() }).await?;
        let value = found.kvs.into_iter().next().map(|kv| kv.value);
        value.map(|value| Metadata::read(id, &value)).transpose().map_err(|error| {
            self.error(format!("holds, as the function '{id}', something that is none: {error}"))
        })
    }

    /// All functions: their ids, and what is stored for each or why it is no function.
    ///
    /// # Errors
    ///
    /// When no member answers.
    pub async fn list(
        &self,
    ) -> Result<Vec<(String, Result<Metadata, serde_json::Error>)>, StoreError> {
        let (key, range_end) = self.below().into_request();
        let below = key.len();
        let found = self.range(RangeRequest { key, range_end, ..RangeRequest::default() }).await?;
        let functions = found.kvs.into_iter().map(|kv| {
            let id = String::from_utf8_lossy(kv.key.get(below..).unwrap_or_default()).into_owned();
            let metadata = Metadata::read(&id, &kv.value);
            (id, metadata)
        });
        Ok(functions.collect())
    }

    /// Stores a function under this id, new or not.
    ///
    /// # Errors
    ///
    /// When no member takes it.
    pub async fn put(&self, id: &str, function: &Metadata) -> Result<(), StoreError> {
        let (key, value) = (key(&self.0.prefix, id), function.json().into());
        let request = PutRequest { key, value, ..PutRequest::default() };
        self.ask(|mut member| {
            let request = request.clone();
            async move { member.put(request).await }
        })
        .await
        .map(drop)
    }

    /// Deletes the function of this id, and says whether there was one.
    ///
    /// # Errors
    ///
    /// When no member answers.
    pub async fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let key = key(&self.0.prefix, id);
        let request = DeleteRangeRequest { key, ..DeleteRangeRequest::default() };
        let deleted = self.ask(|mut member| {
            let request = request.clone();
            async move { member.delete_range(request).await }
        });
        Ok(deleted.await?.deleted > 0)
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        self.ask(|mut member| {
            let request = request.clone();
            async move { member.range(request).await }
        })
        .await
    }

    /// Asks the members, and once more when none of them answers.
    async fn ask<T, F>(&self, request: impl Fn(Kv) -> F + Sync) -> Result<T, StoreError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        for wait in BACK_OFF {
            match self.try_members(&request).await {
                Ok(answer) => return Ok(answer),
                Err(Failed { is_final: true, error }) => return Err(error),
                Err(Failed { error, .. }) => tracing::debug!(%error, "asking etcd again"),
            }
            back_off(wait).await;
        }
        self.try_members(&request).await.map_err(|failed| failed.error)
    }

    /// Asks one member after the other until one answers.
    async fn try_members<T, F>(&self, request: &(impl Fn(Kv) -> F + Sync)) -> Result<T, Failed>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let first = self.0.current.load(Ordering::Relaxed);
        let mut last = None;
        for offset in 0..self.0.members.len() {
            let index = (first + offset) % self.0.members.len();
            let member = &self.0.members[index];
            let client = KvClient::new(member.channel.clone());
            let client = client.max_decoding_message_size(MAX_ANSWER);
            let status = match tokio::time::timeout(self.0.timeout, request(client)).await {
                Ok(Ok(answer)) => {
                    self.0.current.store(index, Ordering::Relaxed);
                    return Ok(answer.into_inner());
                }
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded(format!("no answer in {:?}", self.0.timeout)),
            };
            let failed = Failed::new(&member.name, &status);
            if failed.is_final {
                return Err(failed);
            }
            last = Some(failed);
        }
        Err(last.unwrap_or_else(|| Failed::new("etcd", &Status::unavailable("no endpoint"))))
    }

    /// The keys of all functions.
    fn below(&self) -> Keys {
        Keys::below(&format!("{}/", self.0.prefix))
    }

    fn error(&self, reason: String) -> StoreError {
        StoreError { address: self.names(), reason }
    }

    /// Clients for watching, the member that answered last first.
    fn watch_clients(&self) -> impl Iterator<Item = WatchClient<Channel>> {
        let first = self.0.current.load(Ordering::Relaxed);
        let members = self.0.members.iter().cycle().skip(first).take(self.0.members.len());
        members.map(|member| {
            WatchClient::new(member.channel.clone()).max_decoding_message_size(MAX_ANSWER)
        })
    }
}

type Kv = KvClient<Channel>;

/// Why a member gave no answer.
#[derive(Debug)]
struct Failed {
    /// It refused: no other member would do otherwise.
    is_final: bool,
    error: StoreError,
}

impl Failed {
    fn new(member: &str, status: &Status) -> Self {
        let is_final = !matches!(
            status.code(),
            Code::Unavailable
                | Code::Unknown
                | Code::Internal
                | Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Aborted
        );
        let did = if is_final { "refused" } else { "does not answer" };
        let text: String = status.message().escape_debug().take(200).collect();
        let cause = std::error::Error::source(status).map(root_cause);
        let reason = format!("{did}: {:?}, {}", status.code(), cause.unwrap_or(text));
        let error = StoreError { address: member.to_owned(), reason };
        Self { is_final, error }
    }
}

/// What the operating system said: the last error of a chain.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().escape_debug().take(200).collect()
}

impl FunctionStore for EtcdStore {
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        Box::pin(async move { Ok(self.get(id).await?.map(FunctionSpec::from)) })
    }

    fn deletions(&self) -> Deletions {
        let (sender, deletions) = mpsc::channel(64);
        let store = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = send_deletions(&store, &sender) => {}
                () = sender.closed() => {}
            }
        });
        deletions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_with_or_without_http() {
        for text in ["localhost:2379", "http://localhost:2379", "http://[::1]:1/", "10.0.0.1:65535"]
        {
            assert!(endpoint(text).is_ok(), "{text}");
        }
        for text in
            ["", "localhost", ":x", "a:0", "a:70000", "ftp://a:1", "https://a:1", "a:1/b", "a b:1"]
        {
            let error = endpoint(text).unwrap_err();
            assert!(error.contains("expected HOST:PORT"), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn etcd_that_is_not_there_or_is_something_else_is_an_error_with_its_address() {
        use tokio::io::AsyncWriteExt;
        let there = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let away = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let names = [&there, &away].map(|listener| listener.local_addr().unwrap().to_string());
        drop(away);
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = there.accept().await {
                let _ = connection.write_all(b"SSH-2.0-OpenSSH_9\r\n").await;
            }
        });
        for (name, expected) in names.into_iter().zip(["does not answer", "refused"]) {
            let config = EtcdConfig {
                endpoints: vec![name.clone()],
                prefix: PREFIX.into(),
                timeout: Duration::from_secs(5),
            };
            let store = EtcdStore::new(&config).unwrap();
            assert!(!store.answers().await);
            let error = store.lookup("f").await.unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(&name), "{error}");
        }
    }
}
