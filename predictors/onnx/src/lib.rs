//! What an ONNX file declares, determined once for every engine.
//!
//! [`OnnxFile`] is a file that was read: its graph with all external data inside, its
//! [`Signature`], its settings and the ranges that it was trained on. [`Signature`] says which
//! tensors a model takes and gives and what their numbers mean.
//!
//! # Inputs
//!
//! - One tensor with a column for each feature, of the shape `[1,k]`, `[N,k]`, `[?,k]`, `[k]` or
//!   `[1,1,k]`. With five columns they are the features in the order of
//!   [`Feature::ALL`](hyperfake_predictor::Feature::ALL); with fewer, or in another order, the
//!   setting `features` names them, or the metadata key `features`, which HyperFaaS's training
//!   programs write. A tensor of the shape `[?,?]` has as many columns as are named.
//! - Or one tensor of the shape `[N,1]`, `[?,1]`, `[N]` or `[]` for each feature, named like it.
//!
//! # Outputs
//!
//! - One tensor with three numbers for each row: run time (ns), CPU (cores), RAM (bytes). Its shape
//!   may be `[1,3]`, `[N,3]`, `[3]`, `[3,1]`, `[1,1,3]` or `[1,3,1]`. Of several outputs it is the
//!   one called `output`.
//! - Or three tensors of one number for each row, by their names (see
//!   [`Output`](hyperfake_predictor::Output)), or in this order if none of them has such a name.
//!   Names of which only some are known are refused.
//!
//! # Quantiles
//!
//! A model that knows how its numbers are distributed states levels in the setting `quantiles`, as in
//! the metadata key `hyperfake.quantiles` with the value `0.01,0.1,0.5,0.9,0.99`. Then as many
//! numbers as there are levels stand in the place of each: with Q levels the output is `[N,3Q]`, the
//! quantiles of the run time, then those of the CPU, then those of the RAM; or there are three outputs
//! `[N,Q]`. Between and beyond the levels
//! [`Levels`](hyperfake_predictor::Levels) says what is drawn, and what is predicted is the mean.
//!
//! # Sizes
//!
//! A graph whose nodes would give more than 2^26 numbers for a row, as far as that follows from the
//! constants in the file, is refused: an engine would take gigabytes when it opens it.
//!
//! # Element types
//!
//! Numbers are `float`, `double`, `float16`, `int64` or `int32`, and [`Element`] states how a
//! feature becomes one of them.

mod element;
mod external;
mod file;
mod numbers;
mod ports;
mod quantiles;
mod signature;
mod sizes;

pub use element::Element;
pub use file::{MAX_EXTERNAL_BYTES, OnnxFile, info, said, trained_ranges};
pub use numbers::{Numbers, numbers};
pub use ports::{Port, Size, open_inputs};
pub use quantiles::{Engine, QuantileSession};
pub use signature::{Input, MAX_ROWS, Signature, Targets};
pub use sizes::shapes;
pub use tract_onnx::pb;
