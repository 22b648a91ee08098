//! The floor that the worker is measured against: the same threads and transport, and a service
//! that answers every call at once with as many bytes and trailers, but simulates nothing.
//!
//! `floor_server HOST:PORT` serves until it is stopped, `floor_server HOST:PORT router` as a bare
//! tonic server does; `just bench-server` compares them with the worker.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench may fail")]

use std::sync::Arc;

use bytes::Bytes;
use hyperfake_proto::{
    common::{CallRequest, CallResponse, FunctionId, InstanceId},
    controller::{
        MetricsRequest, MetricsUpdate, StartResponse, StatusRequest, StatusUpdate,
        controller_server::{Controller, ControllerServer},
    },
};
use hyperfake_worker::{
    clock::Clock,
    wire::{
        controller::{
            fast_path::{Answer, Answered, Calls, Messages},
            trailers,
        },
        transport::{
            inflight::Partial,
            sockets::bind,
            threads::{Settings, Threads},
        },
    },
};
use tonic::{
    Extensions, Request, Response, Status,
    service::{Routes, RoutesBuilder},
};

struct Floor(Clock);

impl Answer for Floor {
    async fn answer(&self, request: CallRequest) -> Answered {
        let now = self.0.since_epoch(self.0.now());
        let mut answered = trailers::Writer::default();
        answered.timestamp(&trailers::CALL_QUEUED, now);
        answered.timestamp(&trailers::GOT_RESPONSE, now);
        answered.number(&trailers::PROCESSING_TIME, 0);
        answered.millionths(&trailers::CPU, 600_000);
        answered.number(&trailers::RAM, 8_000_000);
        let response = CallResponse {
            request_id: request.request_id,
            data: Bytes::from_static(b"0123456789"),
            error: None,
            instance_id: Some(InstanceId { id: "0123456789ab".into() }),
        };
        Ok(Response::from_parts(answered.finish(), response, Extensions::default()))
    }
}

#[tonic::async_trait]
impl Controller for Floor {
    type StatusStream = tokio_stream::Empty<Result<StatusUpdate, Status>>;

    async fn start(&self, _: Request<FunctionId>) -> Result<Response<StartResponse>, Status> {
        Ok(Response::new(StartResponse::default()))
    }

    async fn call(&self, request: Request<CallRequest>) -> Answered {
        self.answer(request.into_inner()).await
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
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (address, way) = match &*arguments {
        [address] => (address, "short"),
        [address, way] => (address, way.as_str()),
        _ => panic!("expected HOST:PORT, and router to answer through tonic's"),
    };
    let listener = bind(address.parse().unwrap()).unwrap().listen().unwrap();
    let settings = Settings {
        threads: std::thread::available_parallelism().unwrap().get(),
        messages: Messages { max_bytes: 4 << 20, compress_answers: false },
        max_partial_bytes: 1 << 30,
        max_streams: 32_768,
        max_connections: 1024,
    };
    let threads = if way == "router" {
        Threads::start(&settings, |clock| move |_| services(clock.clone()).1).await
    } else {
        let (messages, partial) = (settings.messages, settings.max_partial_bytes);
        let partial = Partial::up_to(partial);
        let short = move |clock: Clock| {
            let partial = Arc::clone(&partial);
            move |_| {
                let (floor, routes) = services(clock.clone());
                Calls::new(floor, messages, Arc::clone(&partial), clock.clone(), routes)
            }
        };
        Threads::start(&settings, short).await
    };
    let threads = threads.unwrap();
    threads.listen(0, listener);
    println!("serving on {address}");
    std::future::pending::<()>().await;
}

fn services(clock: Clock) -> (Arc<Floor>, Routes) {
    let floor = Arc::new(Floor(clock));
    let mut routes = RoutesBuilder::default();
    routes.add_service(ControllerServer::from_arc(Arc::clone(&floor)));
    (floor, routes.routes())
}
