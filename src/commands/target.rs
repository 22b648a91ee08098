//! Where `call` and `load` send calls, and what they ask of a worker and its registry before.

use std::time::Duration;

use hyperfake_predictor::{Error, ErrorKind, Result};

use super::function;
use crate::{
    args::{ClientTlsArgs, LeafArgs, TargetArgs},
    client::{Connection, Instance, Peer, Target},
    clock::Clock,
    config,
    functions::http::HttpStore,
    report::format,
    tls::{ClientFiles, ClientTls},
};

/// What the options say.
pub(super) fn of(args: &TargetArgs, leaf: &LeafArgs, deadline: Duration) -> Result<Target> {
    // A leaf has no registry of ours.
    let (peer, address, registry) = match &leaf.through {
        Some(address) => (Peer::Leaf, address, ""),
        None => (Peer::Worker, &args.address, &*args.database_address),
    };
    Ok(Target {
        peer,
        address: address.clone(),
        tls: tls(peer, address, registry, &args.tls)?,
        max_message_bytes: args.max_message_size.as_u64() as usize,
        deadline,
    })
}

/// The option that says where calls go.
fn flag(peer: Peer) -> &'static str {
    match peer {
        Peer::Worker => "--address",
        Peer::Leaf => "--through",
    }
}

/// TLS, if the address begins with `https://`. The options may be for the registry alone.
pub(super) fn tls(
    peer: Peer,
    address: &str,
    registry: &str,
    args: &ClientTlsArgs,
) -> Result<Option<ClientTls>> {
    let is_https = |address: &str| address.starts_with("https://");
    let files = files(args);
    if is_https(address) {
        return ClientTls::load(&files).map(Some);
    }
    // The authorities may be a variable of the environment, meant for other commands.
    let asked = [
        ("--tls-cert", files.identity.is_some()),
        ("--tls-server-name", files.server_name.is_some()),
    ];
    match asked.into_iter().find(|(_, is_given)| *is_given && !is_https(registry)) {
        None => Ok(None),
        Some((asking, _)) => {
            let message =
                format!("found '{address}', expected https:// in front of it for {asking}");
            Err(Error::invalid(message).at(flag(peer)))
        }
    }
}

pub(super) fn files(args: &ClientTlsArgs) -> ClientFiles {
    let ClientTlsArgs { tls_ca, tls_cert, tls_key, tls_server_name } = args.clone();
    ClientFiles { ca: tls_ca, identity: tls_cert.zip(tls_key), server_name: tls_server_name }
}

/// Connects.
pub(super) async fn connect(target: &Target, clock: &Clock) -> Result<Connection> {
    Connection::open(target, clock).await.map_err(|error| error.at(flag(target.peer)))
}

/// Where functions are registered. Nothing is sent yet.
pub(super) fn registry(target: &TargetArgs) -> Result<HttpStore> {
    let store = config::store_url(&target.database_address)?;
    match store.scheme() {
        "https" => Ok(HttpStore::with_tls(store, &ClientTls::load(&files(&target.tls))?)),
        _ => HttpStore::new(store).map_err(function::refused),
    }
}

/// Registers a function with this image and starts an instance of it, each within the deadline.
pub(super) async fn start(
    target: &TargetArgs,
    connection: &Connection,
    image: &str,
    deadline: Duration,
) -> Result<Instance> {
    let store = registry(target)?;
    let clock = connection.clock();
    let function = tokio::select! {
        registered = store.register(image) => registered.map_err(function::refused)?,
        () = clock.sleep_until(clock.now() + deadline) => {
            let deadline = format::duration(deadline);
            let message = format!("the function registry does not answer within {deadline}");
            return Err(Error::new(ErrorKind::Timeout, message).at("--database-address"));
        }
    };
    connection.start(function, deadline).await
}
