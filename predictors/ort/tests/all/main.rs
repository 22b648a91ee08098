//! The backend from outside: real files, opened as the worker opens them. What needs an ONNX
//! Runtime is skipped, with a line that says so, where none is found; `ORT_DYLIB_PATH` or
//! `just ort` provides one.
#![allow(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

// The names and messages of these are those of Linux.
#[cfg(target_os = "linux")]
mod child;
mod conformance;
mod file;
#[cfg(target_os = "linux")]
mod formats;
mod forms;
#[cfg(target_os = "linux")]
mod missing;
#[cfg(target_os = "linux")]
mod places;
mod refusals;
mod shapes;
mod sklearn;
mod trees;
