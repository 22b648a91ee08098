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
use tonic::{Request, Response, Status};

use super::{
    convert,
    fast_path::{CallHandler, CallResult},
    trailers,
};
use crate::{
    wire::{events::Events, status::status},
    worker::{Call, Executor, StartAnswers},
};

/// The service `controller.Controller` for the calls of one connection.
#[derive(Debug)]
pub struct Controller {
    executor: Arc<Executor>,
    trailers: trailers::Template,
}

impl Controller {
    /// Runs calls with this executor, on its thread.
    #[must_use]
    pub fn new(executor: Executor) -> Self {
        let ok = (Status::GRPC_STATUS, HeaderValue::from_static("0"));
        Self { executor: Arc::new(executor), trailers: trailers::Template::new([ok]) }
    }

    /// The same for another connection of the thread.
    pub(crate) fn of_new_connection(&self) -> Self {
        let executor = Arc::clone(&self.executor);
        Self { executor, trailers: self.trailers.of_new_connection() }
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

    // An async function would hold its arguments twice, for each call in flight.
    fn call(
        &self,
        request: CallRequest,
        fault: Option<Box<str>>,
    ) -> impl Future<Output = CallResult> + Send {
        let CallRequest { request_id, function_id, instance_id, data } = request;
        let instance = instance_id.map(|instance| instance.id).unwrap_or_default();
        let asked = instance.parse().ok();
        let function = match function_id {
            Some(function) if !function.id.is_empty() => function.id,
            // A leaf sends the function's id in both fields.
            _ => instance,
        };
        async move {
            let call = Call { function: &function, instance: asked, data, fault };
            let outcome = self.executor.call(call).await.map_err(|error| status(&error))?;
            let trailers = self.trailers.of(&outcome, self.executor.clock());
            let response = CallResponse {
                request_id,
                data: outcome.data,
                error: outcome.failure.map(|text| common::Error { message: text.to_string() }),
                instance_id: Some(convert::instance_id(outcome.instance)),
            };
            Ok((response, trailers))
        }
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
    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallResponse>, Status> {
        let (response, _) = CallHandler::call(self, request.into_inner(), None).await?;
        Ok(Response::new(response))
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
