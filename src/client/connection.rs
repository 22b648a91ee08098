use std::{error::Error as _, fmt, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Uri, uri::Scheme};
use hyperfake_predictor::{Error, ErrorKind, Result};
use hyperfake_proto::controller::{
    common::{CallRequest, CallResponse, FunctionId, InstanceId},
    controller_client::ControllerClient,
};
use tokio::task::JoinSet;
use tonic::{Response, Status, client::Grpc};

use super::{Answer, Method, Request, link::Link, raw::Raw};
use crate::{
    clock::Clock,
    report::format,
    tls::ClientTls,
    wire::controller::trailers::{PROCESSING_TIME, Trailers},
};

/// What is called and how it is reached, and what is taken from it: a server may mean harm.
#[derive(Debug, Clone)]
pub struct Target {
    /// What is expected to be there.
    pub peer: Peer,
    /// `host:port`, with `http://` or `https://` in front if that is to be said; without a host it is
    /// on this machine.
    pub address: String,
    /// TLS, if it is spoken.
    pub tls: Option<ClientTls>,
    /// The largest answer to a call, in bytes.
    pub max_message_bytes: usize,
    /// The longest that anything may take: to connect, to start, to call, to stop.
    pub deadline: Duration,
}

/// Who answers calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A worker, by the API of 2025.
    Worker,
    /// A leaf's data plane, or an instance at its own address.
    Leaf,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Worker => "worker",
            Self::Leaf => "leaf or instance",
        })
    }
}

impl Target {
    /// The address that a client connects to.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn uri(&self) -> Result<Uri> {
        let address = self.address.strip_prefix("http://").unwrap_or(&self.address);
        let address = address.strip_prefix("https://").unwrap_or(address).trim_end_matches('/');
        // A server's ":50051" and "[::]:50051" are this machine to a client.
        let port = address.strip_prefix("[::]").unwrap_or(address).strip_prefix(':');
        let address = port.map_or_else(|| address.to_owned(), |port| format!("localhost:{port}"));
        let scheme = if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(address).path_and_query("/").build();
        uri.map_err(|error| self.silent().with_source(error))
    }

    /// The error when there is no answer.
    pub(super) fn silent(&self) -> Error {
        let Self { peer, address, .. } = self;
        let advice = match peer {
            Peer::Worker => "; start one with 'hyperfake server'",
            Peer::Leaf => "",
        };
        Error::unavailable(format!("no {peer} answers at {address}{advice}"))
    }

    /// The error when there is no answer in this time.
    pub(super) fn late(&self, limit: Duration) -> Error {
        let (peer, address, limit) = (self.peer, &self.address, format::duration(limit));
        Error::new(ErrorKind::Timeout, format!("no {peer} answers at {address} within {limit}"))
    }

    /// The error for an answer other than the one that was asked for, or for none.
    pub(super) fn refused(&self, what: &str, status: &Status) -> Error {
        let peer = self.peer;
        if status.source().is_none() {
            let said = describe(status);
            return Error::unavailable(format!("the {peer} refused {what}: {said}"));
        }
        // There was no answer. A server with TLS ends such connections at once, and so does one that
        // asks for a certificate.
        let message = format!(
            "the connection ended without an answer to {what}; if the {peer} speaks TLS, it needs \
             https:// in front of its address, and perhaps a certificate (--tls-cert)"
        );
        let causes = std::iter::successors(status.source(), |cause| (*cause).source());
        let causes = causes.filter(|cause| !cause.is::<Status>());
        let causes: Vec<_> = causes.map(|cause| format::foreign(&cause.to_string())).collect();
        Error::unavailable(message).with_source(causes.join(": "))
    }
}

/// A connection, and the clock that its calls are measured with. A clone is the same connection.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    link: Link,
    /// The worker, and its answers to calls up to the largest that is taken.
    calls: ControllerClient<Link>,
    /// The same, with the limit of answers that carry no data.
    control: ControllerClient<Link>,
    target: Target,
    clock: Clock,
}

/// To connect and to stop an instance take no longer, even when the deadline is.
const BRIEF: Duration = Duration::from_secs(5);
/// The most bytes of an answer that carries no data.
pub(super) const MAX_PLAIN_ANSWER: usize = 64 << 10;

/// An instance that was started.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The id of its function.
    pub function: String,
    /// Its own id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// From asking for it until the answer. What a first call waits is a part of its cold start as
    /// well: workers differ in whether they answer before the instance is ready.
    pub start: Duration,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nothing answers there in time, or not as TLS.
    pub async fn open(target: &Target, clock: &Clock) -> Result<Self> {
        let uri = target.uri()?;
        let limit = BRIEF.min(target.deadline);
        let link = tokio::select! {
            link = Link::open(uri.clone(), target.tls.as_ref()) => {
                link.map_err(|error| target.silent().with_source(error))?
            }
            () = clock.sleep_until(clock.now() + limit) => return Err(target.late(limit)),
        };
        let calls = ControllerClient::with_origin(link.clone(), uri);
        let control = calls.clone().max_decoding_message_size(MAX_PLAIN_ANSWER);
        let calls = calls.max_decoding_message_size(target.max_message_bytes);
        let (target, clock) = (target.clone(), clock.clone());
        Ok(Self(Arc::new(Inner { link, calls, control, target, clock })))
    }

    /// The clock that calls are measured with.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Starts an instance of a function.
    ///
    /// # Errors
    ///
    /// When the worker refuses, or does not answer before the deadline.
    pub async fn start(&self, function: String, deadline: Duration) -> Result<Instance> {
        let mut request = tonic::Request::new(FunctionId { id: function.clone() });
        request.set_timeout(deadline);
        let asked = self.clock().now();
        let mut client = self.0.control.clone();
        let started = self.within(deadline, Box::pin(client.start(request))).await;
        let started = started.map_err(|status| self.refused("Start", &status))?.into_inner();
        Ok(Instance {
            function,
            id: started.instance_id.unwrap_or_default().id,
            name: started.instance_name,
            start: self.clock().now() - asked,
        })
    }

    /// Calls a function. `number` tells calls apart where the API has a field for that.
    ///
    /// # Errors
    ///
    /// What is answered; `DeadlineExceeded` when nothing is answered in time, and `Unavailable` when
    /// the connection ends.
    pub async fn call(
        &self,
        request: &Request,
        number: i64,
        deadline: Duration,
    ) -> Result<Answer, Status> {
        match request {
            Request::Call { function, data } => {
                let answer = self.call_worker(function, data, number, deadline).await?;
                let trailers = Trailers::read(answer.metadata())?;
                let message = answer.into_inner().data;
                Ok(Answer {
                    trailers: Some(trailers),
                    waited: Duration::ZERO,
                    instance: None,
                    message,
                })
            }
            Request::Method(method) => {
                let answer = self.call_method(method, deadline).await?;
                let metadata = answer.metadata();
                // A worker that predicts nothing sends none of the trailers.
                let is_ours = metadata.contains_key(PROCESSING_TIME.as_str());
                let trailers = is_ours.then(|| Trailers::read(metadata)).transpose()?;
                let instance = metadata.get(INSTANCE_ID).and_then(|id| id.to_str().ok());
                let instance = instance.map(str::to_owned);
                let (waited, message) = (Duration::ZERO, answer.into_inner());
                Ok(Answer { trailers, waited, instance, message })
            }
        }
    }

    async fn call_worker(
        &self,
        function: &str,
        data: &Bytes,
        number: i64,
        deadline: Duration,
    ) -> Result<Response<CallResponse>, Status> {
        // As a leaf does it: the function's id in both fields.
        let mut request = tonic::Request::new(CallRequest {
            request_id: number,
            instance_id: Some(InstanceId { id: function.to_owned() }),
            data: data.clone(),
            function_id: Some(FunctionId { id: function.to_owned() }),
        });
        request.set_timeout(deadline);
        let mut client = self.0.calls.clone();
        self.within(deadline, Box::pin(client.call(request))).await
    }

    async fn call_method(
        &self,
        method: &Method,
        deadline: Duration,
    ) -> Result<Response<Bytes>, Status> {
        let mut request = tonic::Request::new(method.message.clone());
        request.set_timeout(deadline);
        let client = Grpc::with_origin(self.0.link.clone(), method.origin.clone());
        let mut client = client.max_decoding_message_size(self.0.target.max_message_bytes);
        let answer = client.unary(request, method.path.clone(), Raw);
        self.within(deadline, Box::pin(answer)).await
    }

    /// Stops an instance. A failure changes nothing: an instance that is left over becomes idle and
    /// ends by itself.
    pub async fn stop(&self, instance: &Instance, deadline: Duration) {
        let mut client = self.0.control.clone();
        let stopping = Box::pin(client.stop(InstanceId { id: instance.id.clone() }));
        let _ = self.within(deadline.min(BRIEF), stopping).await;
    }

    /// Stops instances, all at once.
    pub async fn stop_all(&self, instances: &[Instance], deadline: Duration) {
        let mut stopping = JoinSet::new();
        for instance in instances {
            let (connection, instance) = (self.clone(), instance.clone());
            stopping.spawn(async move { connection.stop(&instance, deadline).await });
        }
        stopping.join_all().await;
    }

    /// The answer, if it is complete in time. Its future is in a box, because one that is moved into
    /// another is in memory twice, and a load has many of them.
    async fn within<T>(
        &self,
        deadline: Duration,
        mut answer: Pin<Box<impl Future<Output = Result<T, Status>>>>,
    ) -> Result<T, Status> {
        let end = self.clock().now() + deadline;
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            () = self.clock().sleep_until(end) => {
                let deadline = format::duration(deadline);
                Err(Status::deadline_exceeded(format!("no answer within {deadline}")))
            }
        }
    }

    pub(super) fn refused(&self, what: &str, status: &Status) -> Error {
        self.0.target.refused(what, status)
    }
}

/// The trailer with the id of the instance that ran a call.
const INSTANCE_ID: &str = "instanceid";

/// The code and the text of an answer that is an error.
pub(super) fn describe(status: &Status) -> String {
    format!("{:?}: {}", status.code(), format::foreign(status.message()))
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("target", &self.0.target).finish_non_exhaustive()
    }
}
