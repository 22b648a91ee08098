//! `hyperfake health`: whether a worker serves, for the probes of containers.

use hyperfake_predictor::Result;

use super::{Output, target};
use crate::{
    args::HealthArgs,
    client::{self, Peer, Target},
};

/// Asks.
///
/// # Errors
///
/// When there is no answer in time, or none about health.
pub async fn run(args: HealthArgs) -> Result<Output> {
    let target = Target {
        peer: Peer::Worker,
        tls: target::tls(Peer::Worker, &args.address, "", &args.tls)?,
        address: args.address,
        max_message_bytes: 0,
        deadline: args.timeout,
    };
    let health = client::health(&target, &args.service).await?;
    Ok(Output { text: health.name().into(), succeeded: health.is_serving() })
}
