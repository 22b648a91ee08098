//! Health, as servers of gRPC tell it.

use std::time::Duration;

use hyperfake_predictor::{Error, Result};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    connection::{MAX_PLAIN_ANSWER, Target},
    link::Link,
};

/// What a server says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health(ServingStatus);

impl Health {
    /// Whether it serves.
    #[must_use]
    pub fn is_serving(self) -> bool {
        self.0 == ServingStatus::Serving
    }

    /// The protocol's own word, such as `NOT_SERVING`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.as_str_name()
    }
}

/// Asks a server about one of its services, or, without a name, about all of it.
///
/// # Errors
///
/// When it does not answer before the target's deadline, does not know the service, or does not
/// speak of its health.
pub async fn health(target: &Target, service: &str) -> Result<Health> {
    let limit: Duration = target.deadline;
    let asked = tokio::time::timeout(limit, ask(target, service));
    asked.await.unwrap_or_else(|_| Err(target.late(limit).at("--timeout")))
}

async fn ask(target: &Target, service: &str) -> Result<Health> {
    let link = connect(target).await.map_err(|error| error.at("--address"))?;
    let client = HealthClient::with_origin(link, target.uri()?);
    let mut client = client.max_decoding_message_size(MAX_PLAIN_ANSWER);
    let answer = client.check(HealthCheckRequest { service: service.to_owned() }).await;
    match answer {
        Ok(answer) => Ok(Health(answer.into_inner().status())),
        Err(status) if status.code() == Code::NotFound => {
            let address = &target.address;
            let message = format!("the server at {address} has no service '{service}'");
            Err(Error::not_found(message).at("--service"))
        }
        Err(status) => Err(target.refused("Check", &status).at("--address")),
    }
}

async fn connect(target: &Target) -> Result<Link> {
    let link = Link::open(target.uri()?, target.tls.as_ref()).await;
    link.map_err(|error| target.silent().with_source(error))
}
