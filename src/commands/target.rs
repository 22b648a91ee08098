//! The worker and the function store that `call` and `load` use.

use std::time::Duration;

use hyperfake_predictor::{Error, Result};

use crate::{
    args::TargetArgs,
    client::{Connection, Instance},
    clock::Clock,
    config,
    functions::http::HttpStore,
};

/// Connects to the worker.
pub(super) async fn connect(target: &TargetArgs, clock: &Clock) -> Result<Connection> {
    Connection::open(&target.address, clock).await.map_err(|error| error.at("--address"))
}

/// Registers a function with this image and starts an instance of it.
pub(super) async fn start(
    target: &TargetArgs,
    connection: &Connection,
    image: &str,
    deadline: Duration,
) -> Result<Instance> {
    let unregistered = |error| {
        Error::unavailable("cannot register the function")
            .with_source(error)
            .at("--database-address")
    };
    let store = config::store_url(&target.database_address)?;
    let store = HttpStore::new(store).map_err(unregistered)?;
    let function = store.register(image).await.map_err(unregistered)?;
    connection.start(function, deadline).await
}
