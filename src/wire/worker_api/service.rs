use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyperfake_proto::worker::{
    MetricsRequest, MetricsUpdate, SignalReadyRequest, StartRequest, StartResponse, StatusRequest,
    StatusUpdate, StopRequest, StopResponse, worker_server,
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::convert;
use crate::{
    clock::Clock,
    wire::{events::Events, instance::InstanceAddresses, status::status},
    worker::{Instance, StartAnswers, Worker},
};

/// The service `worker.Worker` on one call thread.
#[derive(Debug)]
pub(crate) struct WorkerApi {
    worker: Arc<Worker>,
    instances: Arc<InstanceAddresses>,
    clock: Clock,
}

impl WorkerApi {
    pub(crate) fn new(
        worker: Arc<Worker>,
        instances: Arc<InstanceAddresses>,
        clock: Clock,
    ) -> Self {
        Self { worker, instances, clock }
    }
}

#[tonic::async_trait]
impl worker_server::Worker for WorkerApi {
    type StatusStream = StatusUpdates;

    async fn start(
        &self,
        request: Request<StartRequest>,
    ) -> Result<Response<StartResponse>, Status> {
        let worker = &self.worker;
        let id = request.into_inner().function_id;
        let started = worker.start_with_address(&id, &self.clock).await;
        let instance = started.map_err(|error| status(&error))?;
        let mut unknown = Unknown { worker, instance: Some(&instance) };
        // With the address that it has now: that is gone when the instance is.
        let response = convert::start_response(&instance, &self.instances);
        if worker.config().start_answers == StartAnswers::Ready {
            worker.ready(&instance).await.map_err(|error| status(&error))?;
        }
        unknown.instance = None;
        Ok(Response::new(response))
    }

    async fn stop(&self, request: Request<StopRequest>) -> Result<Response<StopResponse>, Status> {
        let StopRequest { instance_id } = request.into_inner();
        // A leaf asks again every second for an instance that could not be stopped.
        self.worker.stop_soon(&instance_id, &self.clock);
        Ok(Response::new(StopResponse { instance_id }))
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusUpdates>, Status> {
        let events = Events::of(&self.worker, &request.into_inner().node_id, &self.clock)?;
        Ok(Response::new(StatusUpdates(events)))
    }

    async fn metrics(
        &self,
        _request: Request<MetricsRequest>,
    ) -> Result<Response<MetricsUpdate>, Status> {
        let cpus = self.worker.config().cpus;
        Ok(Response::new(convert::metrics_update(&self.worker.usage(), cpus)))
    }

    async fn signal_ready(
        &self,
        _request: Request<SignalReadyRequest>,
    ) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }
}

/// An instance that its client does not know yet: when the request that started it is cancelled, it
/// ends.
struct Unknown<'a> {
    worker: &'a Worker,
    instance: Option<&'a Instance>,
}

impl Drop for Unknown<'_> {
    fn drop(&mut self) {
        if let Some(instance) = self.instance {
            self.worker.abandon(instance);
        }
    }
}

/// The events of the instances, for one listener.
#[derive(Debug)]
pub(crate) struct StatusUpdates(Events);

impl Stream for StatusUpdates {
    type Item = Result<StatusUpdate, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(context, convert::status_update)
    }
}
