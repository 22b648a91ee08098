//! The floor that the worker is measured against: the same threads and transport, and a service
//! that answers every call at once with as many bytes and trailers, but simulates nothing.
//!
//! `cargo bench --bench floor_server -- HOST:PORT` serves until it is stopped; `just bench-server`
//! compares it with the worker.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench may fail")]

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyperfake_proto::{
    common::{CallRequest, CallResponse, FunctionId, InstanceId},
    controller::{
        MetricsRequest, MetricsUpdate, StartResponse, StatusRequest, StatusUpdate,
        controller_server::{Controller, ControllerServer},
    },
};
use hyperfake_worker::grpc::{
    sockets::bind,
    threads::{Settings, Threads},
};
use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status, metadata::MetadataMap, service::RoutesBuilder};

struct Floor;

/// One message, then the trailers.
struct Answer(Option<CallResponse>, Option<Status>);

impl Stream for Answer {
    type Item = Result<CallResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let response = self.0.take().map(Ok);
        Poll::Ready(response.or_else(|| self.1.take().map(Err)))
    }
}

#[tonic::async_trait]
impl Controller for Floor {
    type CallStream = Answer;
    type StatusStream = tokio_stream::Empty<Result<StatusUpdate, Status>>;

    async fn start(&self, _: Request<FunctionId>) -> Result<Response<StartResponse>, Status> {
        Ok(Response::new(StartResponse::default()))
    }

    async fn call(&self, request: Request<CallRequest>) -> Result<Response<Answer>, Status> {
        let request = request.into_inner();
        let mut trailers = MetadataMap::with_capacity(8);
        let zero = "0".parse().unwrap();
        trailers.insert("callqueuedtimestamp", 1_795_460_077_697_576_353u64.into());
        trailers.insert("gotresponsetimestamp", 1_795_460_077_697_576_353u64.into());
        trailers.insert("functionprocessingtime", zero);
        let response = CallResponse {
            request_id: request.request_id,
            data: Bytes::from_static(b"0123456789"),
            error: None,
            instance_id: Some(InstanceId { id: "0123456789ab".into() }),
        };
        let status = Status::with_metadata(Code::Ok, "", trailers);
        Ok(Response::new(Answer(Some(response), Some(status))))
    }

    async fn stop(&self, request: Request<InstanceId>) -> Result<Response<InstanceId>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn status(
        &self,
        _: Request<StatusRequest>,
    ) -> Result<Response<Self::StatusStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }

    async fn metrics(&self, _: Request<MetricsRequest>) -> Result<Response<MetricsUpdate>, Status> {
        Ok(Response::new(MetricsUpdate::default()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let address = std::env::args().nth(1).filter(|address| address.contains(':'));
    // Without an address there is nothing to measure, as when all benches are run.
    let Some(address) = address else { return };
    let listener = bind(address.parse().unwrap()).unwrap().listen().unwrap();
    let threads = std::thread::available_parallelism().unwrap().get();
    let settings = Settings {
        threads,
        max_message_bytes: 4 << 20,
        max_streams: 32_768,
        max_connections: 1024,
    };
    let threads = Threads::start(&settings, |_| {
        |_| {
            let mut routes = RoutesBuilder::default();
            routes.add_service(ControllerServer::new(Floor));
            routes.routes()
        }
    });
    let threads = threads.await.unwrap();
    threads.listen(0, listener);
    println!("serving on {address}");
    std::future::pending::<()>().await;
}
