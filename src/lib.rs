//! A FaaS worker that runs no containers: a model predicts what each call would do, and the
//! worker behaves as if it had happened.
//!
//! This library is the whole program; the binary `hyperfake` only reads the command line. See
//! `ARCHITECTURE.md` for the request path.

pub mod admin;
pub mod answers;
pub mod app;
pub mod args;
pub mod backends;
pub mod catalog;
pub mod client;
pub mod clock;
pub mod commands;
pub mod compare;
pub mod config;
pub mod duration;
pub mod fit;
pub mod functions;
pub mod http_server;
pub mod machine;
pub mod measure;
pub mod otlp;
pub mod peer;
pub mod record;
pub mod report;
pub mod resident;
pub mod scenario;
pub mod schema;
pub mod state_file;
pub mod telemetry;
pub mod tls;
pub mod trace;
pub mod whole_file;
pub mod wire;
pub mod worker;
