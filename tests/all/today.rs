//! A client of today's API: a leaf's requests, and calls of any method at an instance's address.

#![allow(unreachable_pub, reason = "the tests' own module, used by the others")]

use std::{net::SocketAddr, time::Duration};

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use hyperfake_proto::worker::{
    Event, StartRequest, StartResponse, StatusRequest, StatusUpdate, StopRequest,
    worker_client::WorkerClient,
};
use tonic::{
    Request, Response, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

use crate::support::{TestWorker, channel, channel_to};

/// What a leaf asks of a worker.
#[derive(Debug, Clone)]
pub struct Leaf(pub WorkerClient<Channel>);

impl Leaf {
    pub async fn of(worker: &TestWorker) -> Self {
        Self(WorkerClient::new(channel(&worker.app).await))
    }

    pub async fn start(&self, function: &str) -> Result<StartResponse, Status> {
        let request = StartRequest { function_id: function.into() };
        Ok(self.0.clone().start(request).await?.into_inner())
    }

    pub async fn stop(&self, instance: &str) -> Result<String, Status> {
        let request = StopRequest { instance_id: instance.into() };
        Ok(self.0.clone().stop(request).await?.into_inner().instance_id)
    }

    pub async fn listen(&self, node: &str) -> Streaming<StatusUpdate> {
        let request = StatusRequest { node_id: node.into() };
        self.0.clone().status(request).await.unwrap().into_inner()
    }
}

/// Waits for an event of this kind.
pub async fn until(events: &mut Streaming<StatusUpdate>, kind: Event) -> StatusUpdate {
    loop {
        let update = events.message().await.unwrap().unwrap();
        if update.event() == kind {
            return update;
        }
    }
}

/// A connection to an instance.
pub async fn connect(instance: &StartResponse) -> Grpc<Channel> {
    connect_to(&instance.instance_internal_ip).await
}

pub async fn connect_to(address: &str) -> Grpc<Channel> {
    Grpc::new(channel_to(address.parse::<SocketAddr>().unwrap()).await)
}

pub const METHOD: &str = "/some.package.v1.AnyService/AnyMethod";

/// Calls a method as a unary one.
pub async fn unary(
    mut client: Grpc<Channel>,
    message: impl Into<Bytes>,
) -> Result<Response<Bytes>, Status> {
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let request = Request::new(message.into());
    client.unary(request, PathAndQuery::from_static(METHOD), Raw).await
}

/// Calls it with a deadline.
pub async fn unary_within(mut client: Grpc<Channel>, timeout: Duration) -> Result<(), Status> {
    client.ready().await.unwrap();
    let mut request = Request::new(Bytes::new());
    request.set_timeout(timeout);
    client.unary(request, PathAndQuery::from_static(METHOD), Raw).await.map(drop)
}

/// Messages as they are on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
