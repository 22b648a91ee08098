//! Makes the sample models in `models/`.
//!
//! A sample starts as a [`Law`], a few lines of arithmetic that say how long a function runs and
//! what it holds. [`fit`] trains a [`Network`] on it, which [`onnx`] writes as the kind of file
//! that such models usually are; [`table`] writes the law itself as JSON.
//!
//! A [`Function`] that HyperFaaS ships is a linear model.
//!
//! Everything is reproducible: the same program makes the same bytes on every machine.

mod domain;
mod files;
mod functions;
mod law;
mod network;
mod onnx;
mod report;
mod table;
mod train;

pub use domain::Domain;
pub use files::{ModelFile, Sample};
pub use functions::Function;
pub use law::{BFS, CALM_CORES, CROWD, ECHO, GIB, Law, THUMBNAILER};
pub use network::{Layer, Network, SOFTPLUS_THRESHOLD};
pub use onnx::onnx;
pub use report::{FitError, report};
pub use table::table;
pub use train::{Recipe, fit};
