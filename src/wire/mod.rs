//! gRPC. [`transport`] accepts connections; each API has a module of its own, which decodes
//! requests, asks the worker and encodes its responses.

pub mod controller;
mod endpoint;
mod etcd;
mod events;
pub mod instance;
mod message;
pub mod server;
mod standard;
mod status;
mod thread;
pub mod transport;
mod worker_api;

pub(crate) use self::{
    status::{code_name, kind_name},
    thread::ThreadContext,
};
