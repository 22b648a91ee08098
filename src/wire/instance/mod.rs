//! An instance's own address, where it answers any gRPC method, as a leaf of today calls it.

mod addresses;
mod listen;
mod service;

pub(crate) use self::service::InstanceEndpoint;
pub use self::{
    addresses::{InstanceAddresses, Opened},
    listen::{Listen, OnStop, Range, host, ports},
};
