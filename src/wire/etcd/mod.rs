//! etcd's v3 API in front of our own store: `etcdserverpb.KV` without transactions, and
//! `etcdserverpb.Watch`. Everything else of etcd is answered UNIMPLEMENTED.

mod kv;
mod watch;

use http::{Request, Response};
use hyperfake_proto::etcd::{
    KeyValue, ResponseHeader, kv_server::KvServer, watch_server::WatchServer,
};
use tonic::{
    Status,
    body::Body,
    service::{Routes, RoutesBuilder},
};
use tower_service::Service as _;

use self::{kv::Kv, watch::Watches};
use super::{
    ThreadContext,
    status::with_common_codes,
    transport::{Connection, Endpoint, MessageLimits, RequestBody, ResponseFuture, Service},
};
use crate::functions::kv::{Refusal, Store};

/// A store as an etcd.
#[derive(Debug)]
pub(crate) struct EtcdEndpoint {
    store: Store,
    messages: MessageLimits,
}

impl EtcdEndpoint {
    pub(crate) fn new(store: Store, messages: MessageLimits) -> Self {
        Self { store, messages }
    }
}

impl Endpoint<ThreadContext> for EtcdEndpoint {
    type Service = EtcdService;

    fn service(&self, _thread: &ThreadContext, _connection: &Connection) -> EtcdService {
        let mut kv = KvServer::new(Kv(self.store.clone()))
            .max_decoding_message_size(self.messages.max_bytes);
        for encoding in self.messages.response_encodings() {
            kv = kv.send_compressed(encoding);
        }
        let watch = WatchServer::new(Watches(self.store.clone()))
            .max_decoding_message_size(self.messages.max_bytes);
        let mut routes = RoutesBuilder::default();
        routes.add_service(kv).add_service(watch);
        EtcdService(routes.routes())
    }
}

/// Answers the requests of a connection. Unlike a worker's methods, those of etcd use `OutOfRange`.
#[derive(Debug)]
pub(crate) struct EtcdService(Routes);

impl Service for EtcdService {
    fn respond<B: RequestBody>(&self, request: Request<B>) -> ResponseFuture {
        // Routes are always ready.
        let response = self.0.clone().call(request.map(Body::new));
        let is_etcds = |response: &Response<Body>| {
            let message = response.headers().get("grpc-message");
            message.is_some_and(|message| message.as_bytes().starts_with(b"etcdserver"))
        };
        Box::pin(async move {
            response.await.map(|response| match is_etcds(&response) {
                true => response,
                false => with_common_codes(response),
            })
        })
    }
}

/// The head of every answer. There is one member, and it is always the leader.
fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { cluster_id: 1, member_id: 1, revision, raft_term: 1 })
}

/// As etcd answers it, with its texts where it has one: clients compare them.
fn status(refusal: &Refusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        Refusal::NoKey | Refusal::UnknownKey | Refusal::EmptyRange | Refusal::TooLong { .. } => {
            Status::invalid_argument(message)
        }
        Refusal::Compacted(_) | Refusal::Future => Status::out_of_range(message),
        Refusal::Full { .. } => Status::resource_exhausted(message),
        Refusal::Unwritten(_) | Refusal::Closed => Status::unavailable(message),
    }
}

fn without_value(kv: KeyValue) -> KeyValue {
    KeyValue { value: Default::default(), ..kv }
}
