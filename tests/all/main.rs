//! The program as its users see it: over gRPC, over HTTP, and on the command line.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod architecture;
mod backends;
mod bad_input;
mod cli;
mod command_line;
mod compression;
mod endpoints;
mod events;
mod fleet;
mod grpc;
mod harmful_server;
// What a process uses is read from /proc.
#[cfg(target_os = "linux")]
mod hostile;
mod leaf;
mod lifecycle;
mod load;
mod metrics;
mod models;
mod operators;
mod pages;
mod program;
mod seed;
mod shutdown;
mod starting;
mod support;
mod tls;
