use std::{error::Error as _, fmt, time::Duration};

use bytes::Bytes;
use hyperfake_predictor::{Error, Result};
use hyperfake_proto::controller::{
    common::{CallRequest, FunctionId, InstanceId},
    controller_client::ControllerClient,
};
use tonic::{
    Request, Status, TimeoutExpired,
    transport::{Channel, Endpoint},
};

use crate::{clock::Clock, report::format, wire::controller::trailers::Trailers};

/// A connection to a worker, and the clock that its calls are measured with. A clone is the same
/// connection.
#[derive(Clone)]
pub struct Connection {
    client: ControllerClient<Channel>,
    clock: Clock,
}

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
    /// Connects to a worker at `host:port`; without a host it is on this machine.
    ///
    /// # Errors
    ///
    /// When nothing answers there.
    pub async fn open(address: &str, clock: &Clock) -> Result<Self> {
        let failed = |error: tonic::transport::Error| {
            let message =
                format!("no worker answers at {address}; start one with 'hyperfake server'");
            Error::unavailable(message).with_source(error)
        };
        let address = address.strip_prefix("http://").unwrap_or(address);
        // A server's ":50051" and "[::]:50051" are this machine to a client.
        let port = address.strip_prefix("[::]").unwrap_or(address).strip_prefix(':');
        let address = port.map_or_else(|| address.to_owned(), |port| format!("localhost:{port}"));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(failed)?;
        let channel = endpoint
            .initial_connection_window_size(16 << 20)
            .connect_timeout(Duration::from_secs(5))
            .tcp_nodelay(true)
            .connect()
            .await
            .map_err(failed)?;
        let client = ControllerClient::new(channel).max_decoding_message_size(usize::MAX);
        Ok(Self { client, clock: clock.clone() })
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
        let started = self.client.clone().start(request).await;
        let started = started.map_err(|status| refused("Start", &timed_out(status, deadline)))?;
        let started = started.into_inner();
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
        let answer = self.client.clone().call(request).await;
        let answer = answer.map_err(|status| timed_out(status, deadline))?;
        let took = self.clock.now() - sent;
        let trailers = Trailers::read(answer.metadata())
            .ok_or_else(|| Status::internal("an answer without the platform's trailers"))?;
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
    pub async fn stop(&self, instance: &Instance) {
        let _ = self.client.clone().stop(InstanceId { id: instance.id.clone() }).await;
    }
}

/// The error for an answer other than the one that was asked for.
pub(super) fn refused(what: &str, status: &Status) -> Error {
    let message = format!("the worker refused {what}: {:?}: {}", status.code(), status.message());
    Error::unavailable(message)
}

/// tonic says `Cancelled` when its timer ends a call.
fn timed_out(status: Status, deadline: Duration) -> Status {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<TimeoutExpired>() {
            let message = format!("no answer within {}", format::duration(deadline));
            return Status::deadline_exceeded(message);
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
