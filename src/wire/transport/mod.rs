//! Connections: sockets and threads that accept them, and what every request passes first.

pub mod addresses;
pub mod compression;
pub mod deadline;
pub mod inflight;
pub mod sockets;
pub mod threads;
