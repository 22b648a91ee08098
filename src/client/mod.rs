//! The client side: one that plays the leaf for one function, and one that makes a steady load.

mod call;
mod load;
mod schedule;

use std::{error::Error as _, time::Duration};

use hyperfake_predictor::{Error, Result};
use hyperfake_proto::controller::{
    common::{CallRequest, FunctionId, InstanceId},
    controller_client::ControllerClient,
};
use tonic::{
    Request, Status, TimeoutExpired,
    transport::{Channel, Endpoint},
};

pub use self::{
    call::{Report, call},
    load::{LoadReport, load},
};
use crate::{
    clock::Clock, config, functions::http::HttpStore, report::format,
    wire::controller::trailers::Trailers,
};

/// One call that succeeded.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// For the rest of the instance's cold start.
    waited: Duration,
    predicted: Duration,
    /// From the request to the last byte of the answer, without the wait.
    observed: Duration,
    /// How much longer than predicted the call took on the worker's own clock.
    late: Duration,
    cpu_cores: Option<f64>,
    ram_bytes: Option<u64>,
}

async fn connect(address: &str) -> Result<ControllerClient<Channel>> {
    let failed = |error: tonic::transport::Error| {
        let message = format!("no worker answers at {address}; start one with 'hyperfake server'");
        Error::unavailable(message).with_source(error).at("--address")
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
    Ok(ControllerClient::new(channel).max_decoding_message_size(usize::MAX))
}

/// A function that was registered, and its instance.
#[derive(Debug)]
struct Started {
    function: String,
    instance: InstanceId,
    instance_name: String,
    /// From asking for the instance until the answer. What a first call waits is a part of it as
    /// well: workers differ in whether they answer before the instance is ready.
    cold_start: Duration,
}

/// Registers a function with this image and starts an instance of it.
async fn start(
    client: &mut ControllerClient<Channel>,
    database: &str,
    image: &str,
    deadline: Duration,
    clock: &Clock,
) -> Result<Started> {
    let unregistered = |error| {
        Error::unavailable("cannot register the function")
            .with_source(error)
            .at("--database-address")
    };
    let registry = HttpStore::new(config::registry_url(database)?).map_err(unregistered)?;
    let function = registry.register(image).await.map_err(unregistered)?;
    let mut request = Request::new(FunctionId { id: function.clone() });
    request.set_timeout(deadline);
    let asked = clock.now();
    let started = client.start(request).await.map_err(|status| missed(status, deadline));
    let started = started.map_err(|status| refused("Start", &status))?.into_inner();
    Ok(Started {
        function,
        instance: started.instance_id.unwrap_or_default(),
        instance_name: started.instance_name,
        cold_start: clock.now() - asked,
    })
}

async fn one_call(
    client: &mut ControllerClient<Channel>,
    request: CallRequest,
    deadline: Duration,
    clock: &Clock,
) -> Result<Sample, Status> {
    let mut request = Request::new(request);
    request.set_timeout(deadline);
    let sent = clock.now();
    let answer = client.call(request).await.map_err(|status| missed(status, deadline))?;
    let took = clock.now() - sent;
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

/// tonic says `Cancelled` when its timer ends a call.
fn missed(status: Status, deadline: Duration) -> Status {
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

fn refused(what: &str, status: &Status) -> Error {
    let message = format!("the worker refused {what}: {:?}: {}", status.code(), status.message());
    Error::unavailable(message)
}
