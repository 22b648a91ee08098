//! The platform's API of 2025: the service `controller.Controller`.

mod convert;
mod endpoint;
pub mod fast_path;
mod service;
pub mod trailers;

pub(crate) use self::endpoint::ControllerEndpoint;
pub use self::service::Controller;
