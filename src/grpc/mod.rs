//! The worker's gRPC side: it decodes, asks the worker, and encodes.

mod controller;
mod convert;
pub mod server;
mod status;
pub mod threads;
pub mod trailers;

pub use self::controller::Controller;
