//! The worker and the function store that `call` and `load` use.

use std::time::Duration;

use hyperfake_predictor::{Error, ErrorKind, Result};

use crate::{
    args::{ClientTlsArgs, TargetArgs},
    client::{Connection, Instance, Target},
    clock::Clock,
    config,
    functions::http::HttpStore,
    report::format,
    tls::{ClientFiles, ClientTls},
};

/// What the options say.
pub(super) fn of(args: &TargetArgs, deadline: Duration) -> Result<Target> {
    Ok(Target {
        address: args.address.clone(),
        tls: tls(args)?,
        max_message_bytes: args.max_message_size.as_u64() as usize,
        deadline,
    })
}

/// TLS, if the address or another option asks for it.
fn tls(args: &TargetArgs) -> Result<Option<ClientTls>> {
    let ClientTlsArgs { tls_ca, tls_cert, tls_key, tls_server_name } = args.tls.clone();
    let is_given = tls_ca.is_some() || tls_cert.is_some() || tls_server_name.is_some();
    if is_given && args.address.starts_with("http://") {
        let message = "found http://, but TLS is asked for by a --tls option; expected https://";
        return Err(Error::invalid(message).at("--address"));
    }
    if !is_given && !args.address.starts_with("https://") {
        return Ok(None);
    }
    let files =
        ClientFiles { ca: tls_ca, identity: tls_cert.zip(tls_key), server_name: tls_server_name };
    ClientTls::load(&files).map(Some)
}

/// Connects to the worker.
pub(super) async fn connect(target: &Target, clock: &Clock) -> Result<Connection> {
    Connection::open(target, clock).await.map_err(|error| error.at("--address"))
}

/// Registers a function with this image and starts an instance of it, each within the deadline.
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
    let clock = connection.clock();
    let function = tokio::select! {
        registered = store.register(image) => registered.map_err(unregistered)?,
        () = clock.sleep_until(clock.now() + deadline) => {
            let deadline = format::duration(deadline);
            let message = format!("the function registry does not answer within {deadline}");
            return Err(Error::new(ErrorKind::Timeout, message).at("--database-address"));
        }
    };
    connection.start(function, deadline).await
}
