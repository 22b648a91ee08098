//! The platform's gRPC interface, generated from the `.proto` files beside this crate.
//!
//! [`controller::controller_server`] is what a worker serves,
//! [`controller::controller_client`] is what a leaf calls.

mod codec;

pub use codec::SmallMessages;

/// Messages that every component of the platform shares.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod common {
    tonic::include_proto!("common");
}

/// What a leaf asks of a worker.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod controller {
    tonic::include_proto!("controller");
}

/// The compiled `.proto` files, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("platform");
