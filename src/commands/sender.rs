//! How `load` and `replay` send calls.

use std::{thread, time::Duration};

use hyperfake_predictor::{Error, Result};

use super::{body::Body, target};
use crate::{
    args::SenderArgs,
    client::{Connection, Target},
    clock::Clock,
};

/// What is sent, and where.
pub(super) struct Sender {
    pub(super) body: Body,
    pub(super) target: Target,
    pub(super) connection: Connection,
    pub(super) threads: usize,
}

impl Sender {
    /// Connects.
    pub(super) async fn open(
        args: &SenderArgs,
        connections: u32,
        deadline: Duration,
        clock: &Clock,
    ) -> Result<Self> {
        let threads = threads(args.threads, connections)?;
        let body = Body::of(&args.body, &args.leaf, args.data_bytes)?;
        let target = target::of(&args.target, &args.leaf, deadline)?;
        let connection = target::connect(&target, clock).await?;
        Ok(Self { body, target, connection, threads })
    }
}

/// As many as there are cores, unless it is stated; each has one connection at least.
fn threads(stated: Option<u32>, connections: u32) -> Result<usize> {
    match stated {
        Some(threads) if threads > connections => {
            let message =
                format!("found {threads}, expected at most --connections, which is {connections}");
            Err(Error::invalid(message).at("--threads"))
        }
        Some(threads) => Ok(threads as usize),
        None => {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            Ok(cores.min(connections as usize))
        }
    }
}
