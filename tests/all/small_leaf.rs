//! A leaf as small as it can be: it starts an instance of each function that is called, and passes calls
//! on to it. As with the platform's own, a function is known to it some time after it was registered.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn::http2::handshake, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyperfake_worker::functions::etcd::{EtcdConfig, EtcdStore, PREFIX};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tonic::Status;

use crate::{support::TestWorker, today::Leaf};

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

pub(crate) struct SmallLeaf {
    /// Of its data plane.
    pub(crate) address: String,
    state: Arc<State>,
}

struct State {
    worker: Leaf,
    etcd: EtcdStore,
    /// How often each function was called.
    asked: Mutex<HashMap<String, u32>>,
    /// The address of each function's instance.
    instances: tokio::sync::Mutex<HashMap<String, String>>,
}

/// So many calls of a function come before the leaf knows it.
const UNKNOWN: u32 = 3;

impl SmallLeaf {
    /// Of a worker that serves an etcd.
    pub(crate) async fn of(worker: &TestWorker) -> Self {
        let endpoints = vec![worker.app.etcd_address().unwrap().to_owned()];
        let timeout = std::time::Duration::from_secs(5);
        let etcd = EtcdConfig { endpoints, prefix: PREFIX.into(), timeout };
        let state = Arc::new(State {
            worker: Leaf::of(worker).await,
            etcd: EtcdStore::new(&etcd).unwrap(),
            asked: Mutex::default(),
            instances: tokio::sync::Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                let service = service_fn(move |request| {
                    let state = Arc::clone(&state);
                    async move { Ok::<_, hyper::Error>(state.answer(request).await) }
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, state }
    }

    /// The functions that were called.
    pub(crate) fn functions(&self) -> Vec<String> {
        self.state.asked.lock().keys().cloned().collect()
    }
}

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let authority = request.uri().authority().unwrap().host().to_owned();
        match self.pass_on(&authority, request).await {
            Ok(response) => response.map(BodyExt::boxed_unsync),
            Err(status) => status.into_http(),
        }
    }

    async fn pass_on(
        &self,
        function: &str,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, Status> {
        let asked = {
            let mut asked = self.asked.lock();
            let asked = asked.entry(function.to_owned()).or_default();
            *asked += 1;
            *asked
        };
        if asked <= UNKNOWN || self.etcd.get(function).await.unwrap().is_none() {
            let message = format!("function {function} not found in control plane");
            return Err(Status::not_found(message));
        }
        let mut instances = self.instances.lock().await;
        if !instances.contains_key(function) {
            let started = self.worker.start(function).await?;
            instances.insert(function.to_owned(), started.instance_internal_ip);
        }
        let address = instances[function].clone();
        drop(instances);
        let lost = |error: hyper::Error| Status::unavailable(error.to_string());
        let stream = TcpStream::connect(&address).await.unwrap();
        let (mut sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(lost)?;
        tokio::spawn(connection);
        let path = request.uri().path().to_owned();
        *request.uri_mut() = format!("http://{address}{path}").parse().unwrap();
        sender.send_request(request).await.map_err(lost)
    }
}
