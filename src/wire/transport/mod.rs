//! Connections: the threads that serve them, and the limits of every request.
//!
//! An [`Acceptor`] listens for [`Endpoint`]s, which can be added and removed while it runs. It hands
//! each connection to a call thread; there the endpoint makes the [`Service`] that answers its
//! requests. What holds for every request of every API is applied before that service: the bound on
//! bytes in flight, decompression and the deadline.

mod acceptor;
pub mod addresses;
mod compression;
mod connection;
mod deadline;
mod endpoint;
mod inflight;
mod limits;
mod request;
pub mod sockets;
mod threads;

pub use self::{
    acceptor::{Acceptor, Handle},
    connection::Connection,
    endpoint::{Ending, Endpoint, PerThread, RequestBody, ResponseFuture, Service},
    limits::{MessageLimits, ServerLimits},
};
