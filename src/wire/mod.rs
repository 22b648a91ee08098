//! gRPC: what comes in is decoded, the worker is asked, and its answer is encoded.

pub mod controller;
pub mod server;
mod standard;
mod status;
pub mod transport;
