//! The backend from outside: real files, opened as the worker opens them. What needs an ONNX
//! Runtime is skipped, with a line that says so, where none is found; `ORT_DYLIB_PATH` or
//! `just ort` provides one.
#![allow(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

mod child;
mod conformance;
mod file;
mod formats;
mod missing;
mod places;
mod refusals;
mod shapes;
mod sklearn;
