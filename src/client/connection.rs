use std::{error::Error as _, fmt, time::Duration};

use bytes::Bytes;
use hyperfake_predictor::{Error, ErrorKind, Result};
use hyperfake_proto::controller::{
    common::{CallRequest, FunctionId, InstanceId},
    controller_client::ControllerClient,
};
use tonic::{
    Request, Status, TimeoutExpired,
    transport::{Channel, Endpoint},
};

use super::tls_connector::TlsConnector;
use crate::{clock::Clock, report::format, tls::ClientTls, wire::controller::trailers::Trailers};

/// How a worker is reached, and what is taken from it: a server may mean harm.
#[derive(Debug, Clone)]
pub struct Target {
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

/// A connection to a worker, and the clock that its calls are measured with. A clone is the same
/// connection.
#[derive(Clone)]
pub struct Connection {
    client: ControllerClient<Channel>,
    max_message_bytes: usize,
    clock: Clock,
}

/// To connect and to stop an instance take no longer, even when the deadline is.
const BRIEF: Duration = Duration::from_secs(5);
/// The most bytes of a header and of an answer that carries no data.
const MAX_HEADER_BYTES: u32 = 16 << 10;
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

/// One call that succeeded.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// For the rest of the instance's cold start.
    pub waited: Duration,
    /// The predicted run time.
    pub predicted: Duration,
    /// From the request to the last byte of the answer, without the wait.
    pub observed: Duration,
    /// How much longer than predicted the call took on the worker's own clock.
    pub late: Duration,
    /// The CPU that the call held.
    pub cpu_cores: Option<f64>,
    /// The memory that the call held.
    pub ram_bytes: Option<u64>,
}

impl Connection {
    /// Connects to a worker.
    ///
    /// # Errors
    ///
    /// When nothing answers there in time, or not as TLS.
    pub async fn open(target: &Target, clock: &Clock) -> Result<Self> {
        let limit = BRIEF.min(target.deadline);
        let channel = tokio::select! {
            connected = connect(target) => connected?,
            () = clock.sleep_until(clock.now() + limit) => {
                return Err(no_answer_at(target, limit));
            }
        };
        let (client, clock) = (ControllerClient::new(channel), clock.clone());
        Ok(Self { client, max_message_bytes: target.max_message_bytes, clock })
    }

    /// The clock that calls are measured with.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Starts an instance of a function.
    ///
    /// # Errors
    ///
    /// When the worker refuses, or does not answer before the deadline.
    pub async fn start(&self, function: String, deadline: Duration) -> Result<Instance> {
        let mut request = Request::new(FunctionId { id: function.clone() });
        request.set_timeout(deadline);
        let asked = self.clock.now();
        let mut client = self.client.clone().max_decoding_message_size(MAX_PLAIN_ANSWER);
        let started = self.within(deadline, client.start(request)).await;
        let started = started.map_err(|status| refused("Start", &status))?.into_inner();
        Ok(Instance {
            function,
            id: started.instance_id.unwrap_or_default().id,
            name: started.instance_name,
            start: self.clock.now() - asked,
        })
    }

    /// Calls a function.
    ///
    /// # Errors
    ///
    /// What the worker answers; `DeadlineExceeded` when it does not answer in time.
    pub async fn call(
        &self,
        function: &str,
        number: i64,
        data: Bytes,
        deadline: Duration,
    ) -> Result<Sample, Status> {
        // As a leaf does it: the function's id in both fields.
        let mut request = Request::new(CallRequest {
            request_id: number,
            instance_id: Some(InstanceId { id: function.to_owned() }),
            data,
            function_id: Some(FunctionId { id: function.to_owned() }),
        });
        request.set_timeout(deadline);
        let sent = self.clock.now();
        let mut client = self.client.clone().max_decoding_message_size(self.max_message_bytes);
        let answer = self.within(deadline, client.call(request)).await?;
        let took = self.clock.now() - sent;
        let trailers = Trailers::read(answer.metadata())?;
        Ok(Sample {
            waited: trailers.cold_start,
            predicted: trailers.runtime,
            observed: took.saturating_sub(trailers.cold_start),
            late: trailers.took().saturating_sub(trailers.cold_start + trailers.runtime),
            cpu_cores: trailers.cpu_cores,
            ram_bytes: trailers.ram_bytes,
        })
    }

    /// Stops an instance. A failure changes nothing: an instance that is left over becomes idle and
    /// ends by itself.
    pub async fn stop(&self, instance: &Instance, deadline: Duration) {
        let mut client = self.client.clone().max_decoding_message_size(MAX_PLAIN_ANSWER);
        let stopping = client.stop(InstanceId { id: instance.id.clone() });
        let _ = self.within(deadline.min(BRIEF), stopping).await;
    }

    /// The answer, if it is complete in time. tonic's own timer stops when the headers of an answer
    /// are there, and a server need not send the rest.
    async fn within<T>(
        &self,
        deadline: Duration,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let end = self.clock.now() + deadline;
        tokio::select! {
            biased;
            answer = answer => answer.map_err(|status| timed_out(status, deadline)),
            () = self.clock.sleep_until(end) => Err(no_answer(deadline)),
        }
    }
}

/// Connects to a worker, however long that takes.
pub(super) async fn connect(target: &Target) -> Result<Channel> {
    let shown = &target.address;
    let failed = |error: tonic::transport::Error| {
        let message = format!("no worker answers at {shown}; start one with 'hyperfake server'");
        Error::unavailable(message).with_source(error)
    };
    let address = shown.strip_prefix("http://").unwrap_or(shown);
    let address = address.strip_prefix("https://").unwrap_or(address);
    // A server's ":50051" and "[::]:50051" are this machine to a client.
    let port = address.strip_prefix("[::]").unwrap_or(address).strip_prefix(':');
    let address = port.map_or_else(|| address.to_owned(), |port| format!("localhost:{port}"));
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(failed)?
        .initial_connection_window_size(16 << 20)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .tcp_nodelay(true);
    let connected = match &target.tls {
        None => endpoint.connect().await,
        Some(tls) => {
            let origin = format!("https://{address}").parse();
            let endpoint = origin.into_iter().fold(endpoint, Endpoint::origin);
            endpoint.connect_with_connector(TlsConnector::new(tls)).await
        }
    };
    connected.map_err(failed)
}

/// The error for a worker that does not answer in this time.
pub(super) fn no_answer_at(target: &Target, limit: Duration) -> Error {
    let (address, limit) = (&target.address, format::duration(limit));
    Error::new(ErrorKind::Timeout, format!("no worker answers at {address} within {limit}"))
}

/// The error for an answer other than the one that was asked for, or for none.
pub(super) fn refused(what: &str, status: &Status) -> Error {
    if status.source().is_none() {
        return Error::unavailable(format!("the worker refused {what}: {}", describe(status)));
    }
    // tonic's own: there was no answer. A worker with TLS ends such connections at once, and so does
    // one that asks for a certificate.
    let message = format!(
        "the connection ended without an answer to {what}; if the worker speaks TLS, it needs https:// in \
         front of its address, and perhaps a certificate (--tls-cert)"
    );
    let causes = std::iter::successors(status.source(), |cause| (*cause).source());
    let causes: Vec<_> = causes.map(|cause| format::foreign(&cause.to_string())).collect();
    Error::unavailable(message).with_source(causes.join(": "))
}

/// The code and the text of an answer that is an error.
pub(super) fn describe(status: &Status) -> String {
    format!("{:?}: {}", status.code(), format::foreign(status.message()))
}

fn no_answer(deadline: Duration) -> Status {
    Status::deadline_exceeded(format!("no answer within {}", format::duration(deadline)))
}

/// tonic says `Cancelled` when its timer ends a call.
fn timed_out(status: Status, deadline: Duration) -> Status {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<TimeoutExpired>() {
            return no_answer(deadline);
        }
        cause = error.source();
    }
    status
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
