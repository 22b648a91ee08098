//! A FaaS worker that runs no containers: a model predicts what each call would do, and the
//! worker behaves as if it had happened.
//!
//! This library is the whole program; the binary `hyperfake` only reads the command line. See
//! `ARCHITECTURE.md` for the way of a call through it.

pub mod app;
pub mod backends;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod duration;
pub mod format;
pub mod functions;
pub mod grpc;
pub mod machine;
pub mod models;
pub mod predict;
pub mod telemetry;
pub mod worker;
