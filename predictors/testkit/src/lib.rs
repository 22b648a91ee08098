//! The properties that every predictor backend must have, as a test suite.
//!
//! [`Conformance`] runs the same properties against any [`Backend`](hyperfake_predictor::Backend):
//! it answers what its models say, the same way in every session and on every thread, it draws as
//! [`Session::draw`](hyperfake_predictor::Session::draw) promises, and a file
//! that it cannot serve is an error that names the file. A backend's own test supplies the model
//! files, each with the function that it computes ([`ReferenceModel`]):
//!
//! ```no_run
//! # use hyperfake_predictor::{Backend, ModelUri};
//! # fn test(backend: impl Backend, path: &std::path::Path) {
//! use hyperfake_predictor_testkit::{Conformance, ReferenceModel, reference};
//!
//! std::fs::write(path, reference::LINEAR.to_onnx().to_bytes()).unwrap();
//! let linear = ReferenceModel::new(ModelUri::from_path(path), |features| reference::LINEAR.predict(features), 1e-6);
//! Conformance::of(backend).model(linear).run();
//! # }
//! ```
//!
//! - [`mod@reference`]: functions with known answers, and the ONNX files that compute them.
//! - [`samples`]: features to ask with.
//! - [`suite`]: the tests of every engine for ONNX files; [`File`] writes the files of a test.
//! - [`forms`]: the forms of inputs and outputs that every engine for ONNX files serves.
//! - [`onnx`]: writes ONNX files, byte for byte the same every time.

mod case;
mod conformance;
mod file;
pub mod forms;
mod properties;
pub mod reference;
pub mod samples;
pub mod suite;

pub use hyperfake_predictor_writer as onnx;

pub use case::ReferenceModel;
pub use conformance::Conformance;
pub use file::File;
