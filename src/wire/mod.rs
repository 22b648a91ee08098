//! gRPC. [`transport`] accepts connections; each API has a module of its own, which decodes
//! requests, asks the worker and encodes its responses.

pub mod controller;
mod etcd;
pub mod server;
mod standard;
mod status;
mod thread;
pub mod transport;

pub(crate) use self::thread::ThreadContext;
