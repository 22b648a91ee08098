//! The gRPC APIs of the platform and of its store, generated from the `.proto` files beside this crate: one module and
//! one descriptor set for each API.

mod codec;

pub use codec::SmallMessages;

/// The API of 2025, in which a leaf calls a worker. A worker serves [`controller_server`], and a
/// leaf uses [`controller_client`].
///
/// [`controller_server`]: controller::controller_server
/// [`controller_client`]: controller::controller_client
pub mod controller {
    pub use generated::{common, controller::*};

    /// The compiled `.proto` files of this API, for server reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/controller/descriptors.bin"));

    /// One module for each package: the generated code names other packages relative to its own.
    #[allow(missing_docs, unreachable_pub, clippy::all)]
    mod generated {
        pub mod common {
            include!(concat!(env!("OUT_DIR"), "/controller/common.rs"));
        }
        pub mod controller {
            include!(concat!(env!("OUT_DIR"), "/controller/controller.rs"));
        }
    }
}

/// The API of today, in which a leaf starts and stops instances and sends calls to their addresses. A
/// worker serves [`worker_server`], and a leaf uses [`worker_client`].
///
/// [`worker_server`]: worker::worker_server
/// [`worker_client`]: worker::worker_client
pub mod worker {
    pub use generated::*;

    /// The compiled `.proto` files of this API, for server reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/worker/descriptors.bin"));

    #[allow(missing_docs, unreachable_pub, clippy::all)]
    mod generated {
        include!(concat!(env!("OUT_DIR"), "/worker/worker.rs"));
    }
}

/// What is used of etcd's v3 API. A store serves [`kv_server`] and [`watch_server`], and one that is
/// asked is called with [`kv_client`] and [`watch_client`].
///
/// [`kv_server`]: etcd::kv_server
/// [`watch_server`]: etcd::watch_server
/// [`kv_client`]: etcd::kv_client
/// [`watch_client`]: etcd::watch_client
pub mod etcd {
    pub use generated::*;

    #[allow(missing_docs, unreachable_pub, clippy::all)]
    mod generated {
        include!(concat!(env!("OUT_DIR"), "/etcd/etcdserverpb.rs"));
    }
}
