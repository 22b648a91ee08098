use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue};
use hyperfake_proto::controller::{
    MetricsRequest, MetricsUpdate, StartResponse, StatusRequest, StatusUpdate,
    common::{self, CallRequest, CallResponse},
    controller_server,
};
use tokio_stream::Stream;
use tonic::{Extensions, Request, Response, Status, metadata::MetadataMap};

use super::{
    convert,
    fast_path::{CallHandler, CallResult},
    trailers,
};
use crate::{
    wire::{events::Events, status::status},
    worker::{Call, Executor, StartAnswers},
};

/// The service `controller.Controller` on one call thread.
#[derive(Debug, Clone)]
pub struct Controller {
    executor: Arc<Executor>,
    trailers: Arc<trailers::Template>,
}

impl Controller {
    /// Runs calls with this executor, on its thread.
    #[must_use]
    pub fn new(executor: Executor) -> Self {
        let trailers = trailers::Template::new([]);
        Self { executor: Arc::new(executor), trailers: Arc::new(trailers) }
    }
}

impl CallHandler for Controller {
    fn fault_asked(&self, request: &CallRequest, headers: &HeaderMap) -> Option<Box<str>> {
        let function = request.function_id.as_ref().map(|function| &*function.id);
        let instance = || request.instance_id.as_ref().map(|instance| &*instance.id);
        let function = function.filter(|id| !id.is_empty()).or_else(instance)?;
        let header = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        self.executor.fault_asked(function, header)
    }

    async fn call(&self, request: CallRequest, fault: Option<Box<str>>) -> CallResult {
        let instance = request.instance_id.map(|instance| instance.id).unwrap_or_default();
        let asked = instance.parse().ok();
        let function = match request.function_id {
            Some(function) if !function.id.is_empty() => function.id,
            // A leaf sends the function's id in both fields.
            _ => instance,
        };
        let call = Call { function: &function, instance: asked, data: request.data, fault };
        let outcome = self.executor.call(call).await.map_err(|error| status(&error))?;
        let trailers = self.trailers.of(&outcome, self.executor.clock());
        let trailers = MetadataMap::from_headers(trailers);
        let response = CallResponse {
            request_id: request.request_id,
            data: outcome.data,
            error: outcome.failure.map(|text| common::Error { message: text.to_string() }),
            instance_id: Some(convert::instance_id(outcome.instance)),
        };
        Ok(Response::from_parts(trailers, response, Extensions::default()))
    }
}

#[tonic::async_trait]
impl controller_server::Controller for Controller {
    type StatusStream = StatusUpdates;

    async fn start(
        &self,
        request: Request<common::FunctionId>,
    ) -> Result<Response<StartResponse>, Status> {
        let id = request.into_inner().id;
        let worker = self.executor.worker();
        let started = worker.start(&id, self.executor.clock()).await;
        let instance = started.map_err(|error| status(&error))?;
        if worker.config().start_answers == StartAnswers::Ready {
            worker.ready(&instance).await.map_err(|error| status(&error))?;
        }
        Ok(Response::new(convert::start_response(&instance)))
    }

    /// Not reached in production: [`fast_path`](super::fast_path) answers `Call` before the router
    /// that leads here. The generated trait requires it.
    async fn call(&self, request: Request<CallRequest>) -> CallResult {
        CallHandler::call(self, request.into_inner(), None).await
    }

    async fn stop(
        &self,
        request: Request<common::InstanceId>,
    ) -> Result<Response<common::InstanceId>, Status> {
        let request = request.into_inner();
        self.executor.worker().stop(&request.id).await.map_err(|error| status(&error))?;
        Ok(Response::new(request))
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusUpdates>, Status> {
        let node = request.into_inner().node_id;
        let events = Events::of(self.executor.worker(), &node, self.executor.clock())?;
        Ok(Response::new(StatusUpdates(events)))
    }

    async fn metrics(
        &self,
        _request: Request<MetricsRequest>,
    ) -> Result<Response<MetricsUpdate>, Status> {
        let worker = self.executor.worker();
        Ok(Response::new(convert::metrics_update(&worker.usage(), worker.config().cpus)))
    }
}

/// The events of the instances, for one listener.
#[derive(Debug)]
pub struct StatusUpdates(Events);

impl Stream for StatusUpdates {
    type Item = Result<StatusUpdate, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(context, convert::status_update)
    }
}
