//! The transport by itself: endpoints are added and removed while it runs.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use hyperfake_worker::{
    clock::{Clock, precise::now},
    wire::transport::{
        Acceptor, Connection, Endpoint, Handle, MessageLimits, RequestBody, ResponseFuture,
        ServerLimits, Service,
        sockets::{Bound, bind},
    },
};
use tokio::{net::TcpStream, sync::Notify};
use tonic::body::Body;

use crate::support::eventually;

const LIMITS: ServerLimits = ServerLimits {
    threads: 2,
    messages: MessageLimits { max_bytes: 1 << 20, compress_responses: false },
    max_inflight_bytes: 1 << 20,
    max_streams: 100,
    max_connections: 10,
};

/// Answers each request with the local address of its connection.
#[derive(Clone)]
struct Whoami {
    /// Ends the wait of a request for `/wait`.
    release: Arc<Notify>,
    /// A request for `/hold` holds its thread until the other end of this is dropped.
    end_of_hold: Arc<Mutex<mpsc::Receiver<()>>>,
    holds: Arc<AtomicBool>,
    /// Counts the copies of this endpoint: each connection and each open request has one.
    copies: Arc<()>,
}

struct WhoamiService(Whoami, SocketAddr);

impl Endpoint<Clock> for Whoami {
    type Service = WhoamiService;

    fn service(&self, _: &Clock, connection: &Connection) -> WhoamiService {
        WhoamiService(self.clone(), connection.local_address().unwrap())
    }
}

impl Service for WhoamiService {
    fn respond<B: RequestBody>(&self, request: http::Request<B>) -> ResponseFuture {
        let (whoami, address) = (self.0.clone(), self.1.to_string());
        Box::pin(async move {
            match request.uri().path() {
                "/wait" => whoami.release.notified().await,
                "/hold" => {
                    whoami.holds.store(true, Ordering::Relaxed);
                    let _ = whoami.end_of_hold.lock().unwrap().recv();
                }
                _ => {}
            }
            drop(whoami.copies);
            Ok(http::Response::builder().header("address", address).body(Body::empty()).unwrap())
        })
    }
}

impl Whoami {
    fn new() -> Self {
        Self::with_hold().0
    }

    /// Also what ends the hold of a thread when it is dropped.
    fn with_hold() -> (Self, mpsc::Sender<()>) {
        let (end, end_of_hold) = mpsc::channel();
        let whoami = Self {
            release: Arc::default(),
            end_of_hold: Arc::new(Mutex::new(end_of_hold)),
            holds: Arc::default(),
            copies: Arc::default(),
        };
        (whoami, end)
    }
}

async fn acceptor() -> Acceptor<Clock> {
    Acceptor::start(&LIMITS, |clock| clock).await.unwrap()
}

/// A socket on a free port of this address, and where it is.
fn socket(host: &str) -> (Bound, SocketAddr) {
    let socket = bind(format!("{host}:0").parse().unwrap()).unwrap();
    let address = socket.address().unwrap();
    (socket, address)
}

fn add(acceptor: &Acceptor<Clock>, endpoint: &Whoami) -> (Handle, SocketAddr) {
    let (socket, address) = socket("127.0.0.1");
    (acceptor.add(socket.listen().unwrap(), endpoint.clone()), address)
}

/// A client with connections of its own.
fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap()
}

async fn get(client: &reqwest::Client, address: SocketAddr, path: &str) -> reqwest::Result<String> {
    let response = client.get(format!("http://{address}{path}")).send().await?;
    Ok(response.headers()["address"].to_str().unwrap().to_owned())
}

async fn refuses(address: SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn endpoints_are_added_and_removed_while_others_are_served() {
    let acceptor = acceptor().await;
    let (_first, first) = add(&acceptor, &Whoami::new());
    assert_eq!(get(&client(), first, "/").await.unwrap(), first.to_string());
    let (handle, second) = add(&acceptor, &Whoami::new());
    assert_eq!(get(&client(), second, "/").await.unwrap(), second.to_string());
    handle.remove();
    refuses(second).await;
    assert_eq!(get(&client(), first, "/").await.unwrap(), first.to_string());
    // The address is free again.
    let again = bind(second).unwrap().listen().unwrap();
    let _again = acceptor.add(again, Whoami::new());
    assert_eq!(get(&client(), second, "/").await.unwrap(), second.to_string());
}

#[tokio::test]
async fn requests_of_a_removed_endpoint_are_still_answered() {
    let acceptor = acceptor().await;
    let endpoint = Whoami::new();
    let (handle, address) = add(&acceptor, &endpoint);
    let client = client();
    let request = tokio::spawn({
        let client = client.clone();
        async move { get(&client, address, "/wait").await }
    });
    // Held by the test, the endpoint, the connection's service and the request.
    eventually("the request waits", || Arc::strong_count(&endpoint.copies) == 4).await;
    handle.remove();
    refuses(address).await;
    endpoint.release.notify_one();
    assert_eq!(request.await.unwrap().unwrap(), address.to_string());
    // Then the connection is closed, and nothing of the endpoint is left.
    eventually("the endpoint is dropped", || Arc::strong_count(&endpoint.copies) == 1).await;
    assert!(get(&client, address, "/").await.is_err());
}

#[tokio::test]
#[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this machine
async fn endpoint_sees_the_local_address_of_a_connection() {
    let acceptor = acceptor().await;
    let (socket, listening) = socket("0.0.0.0");
    let _handle = acceptor.add(socket.listen().unwrap(), Whoami::new());
    for host in ["127.0.0.1", "127.3.2.1"] {
        let address = format!("{host}:{}", listening.port()).parse().unwrap();
        assert_eq!(get(&client(), address, "/").await.unwrap(), address.to_string());
    }
}

#[tokio::test]
async fn delayed_endpoint_can_be_removed_before_it_listens() {
    let acceptor = acceptor().await;
    let (socket, address) = socket("127.0.0.1");
    let hour = Duration::from_secs(3600);
    let endpoint = Whoami::new();
    let handle = acceptor.add_at(now() + hour, socket, endpoint.clone());
    assert!(TcpStream::connect(address).await.is_err());
    handle.remove();
    eventually("the endpoint is dropped", || Arc::strong_count(&endpoint.copies) == 1).await;
}

#[tokio::test]
async fn stop_removes_all_endpoints_and_waits_for_their_requests() {
    let mut acceptor = acceptor().await;
    let endpoint = Whoami::new();
    let (_first, first) = add(&acceptor, &endpoint);
    let (_second, second) = add(&acceptor, &endpoint);
    let request = tokio::spawn(async move { get(&client(), second, "/wait").await });
    eventually("the request waits", || Arc::strong_count(&endpoint.copies) == 5).await;
    acceptor.stop();
    refuses(first).await;
    endpoint.release.notify_one();
    acceptor.ended().await;
    assert_eq!(request.await.unwrap().unwrap(), second.to_string());
}

#[tokio::test]
async fn a_held_thread_does_not_keep_new_connections() {
    let limits = ServerLimits { max_connections: 1000, ..LIMITS };
    let acceptor = Acceptor::start(&limits, |clock| clock).await.unwrap();
    let (endpoint, end_of_hold) = Whoami::with_hold();
    let (_handle, address) = add(&acceptor, &endpoint);
    let held = tokio::spawn(async move { get(&client(), address, "/hold").await });
    let holds = Arc::clone(&endpoint.holds);
    eventually("a thread is held", || holds.load(Ordering::Relaxed)).await;
    for _ in 0..20 {
        let client = client();
        let answer = tokio::time::timeout(Duration::from_secs(60), get(&client, address, "/"));
        answer.await.expect("a connection waits for the held thread").unwrap();
    }
    drop(end_of_hold);
    held.await.unwrap().unwrap();
}
