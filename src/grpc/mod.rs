//! The worker's gRPC side: it decodes, asks the worker, and encodes.

pub mod calls;
mod compression;
mod controller;
mod convert;
mod deadline;
mod health;
pub mod partial;
pub mod server;
pub mod sockets;
mod status;
pub mod threads;
pub mod trailers;

pub use self::controller::Controller;
