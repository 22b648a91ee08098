//! The program as its users see it: over gRPC, over HTTP, and on the command line.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod answers;
mod architecture;
mod backends;
mod bad_input;
mod behaviour;
mod cli;
mod command_line;
mod compare;
mod compression;
mod deploy;
mod ending;
mod endpoints;
mod etcd;
mod events;
mod fit;
mod fleet;
mod forgetting;
mod grpc;
mod harmful_server;
mod health;
// What a process uses is read from /proc.
#[cfg(target_os = "linux")]
mod hostile;
mod instances;
mod interrupted;
mod leaf;
mod leaf_of_today;
mod lifecycle;
mod load;
#[cfg(target_os = "linux")]
mod measure;
mod metrics;
mod models;
mod operators;
mod page;
mod pages;
mod platform_functions;
mod program;
mod prometheus;
mod record;
mod replay;
mod scenario;
mod seed;
mod shutdown;
mod small_leaf;
mod starting;
mod support;
mod through;
mod tls;
mod today;
mod top;
mod valgrind;
