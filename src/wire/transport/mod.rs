//! Connections: the threads that serve them, and the limits of every request.
//!
//! An [`Acceptor`] listens for [`Endpoint`]s, which can be added and removed while it runs. It hands
//! each connection to a call thread; there the endpoint makes the [`Service`] that answers its
//! requests. What holds for every request of every API is applied around that service: decompression,
//! the deadline, and what a client may hold.
//!
//! The limits form one accounting: `peers.rs` has the places of connections, of an endpoint and of
//! the process; an [`Account`] has the bytes that a connection holds, inside the shares of its peer
//! and of all clients; `paced.rs` has the work that a connection may cause before others have their
//! turn.

mod acceptor;
mod account;
pub mod addresses;
mod answer;
mod compression;
mod connection;
mod deadline;
mod endpoint;
mod frames;
mod inbox;
mod inflight;
mod limits;
mod paced;
mod peers;
mod request;
pub mod sockets;
mod threads;

pub(super) use self::compression::{Encoding, GRPC_ENCODING, PREFIX_BYTES};
pub use self::{
    acceptor::{Acceptor, Handle},
    account::Account,
    connection::Connection,
    endpoint::{Ending, Endpoint, PerThread, RequestBody, ResponseFuture, Service},
    limits::{MessageLimits, ServerLimits},
};
