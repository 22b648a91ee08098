//! The platform's API of 2025: the service `controller.Controller`.

mod convert;
pub mod fast_path;
mod service;
pub mod trailers;

pub use self::service::Controller;
