//! Write a predictor plugin for HyperFake Worker: a safe trait and one macro.
//!
//! A plugin is a library (`crate-type = ["cdylib", "rlib"]`) with a type that implements
//! [`Predictor`] and is exported with [`export_predictor!`]. `docs/guide/plugins.md` goes from
//! `cargo new` to a served call. A whole plugin:
//!
//! ```
//! use hyperfake_plugin_sdk::{Features, Prediction, Predictor, Result, export_predictor};
//!
//! /// Each running call makes the next one slower.
//! struct Slowdown {
//!     idle_ns: f64,
//! }
//!
//! impl Predictor for Slowdown {
//!     fn create(config: &str) -> Result<Self> {
//!         match config {
//!             "{}" => Ok(Self { idle_ns: 2e6 }),
//!             other => Err(format!("expected no configuration, found {other}").into()),
//!         }
//!     }
//!
//!     fn predict(&self, features: &Features) -> Result<Prediction> {
//!         Ok(Prediction {
//!             runtime_ns: self.idle_ns * (1.0 + features.active_calls),
//!             cpu_cores: 0.5,
//!             ram_bytes: 8e6,
//!         })
//!     }
//! }
//!
//! export_predictor!(Slowdown);
//! ```
//!
//! # Panics
//!
//! A panic in a plugin is caught before it reaches the worker. From then on the worker does not
//! call the plugin again, for any model: each of its calls fails with the plugin's name and the panic's
//! message, and all other models go on. What cannot be caught: a panic while another one unwinds, a
//! stack overflow, and anything in a plugin that is built with `panic = "abort"`, which is therefore
//! an error of compilation.
//!
//! # Trust
//!
//! A plugin runs inside the worker's process with all its rights.

#[cfg(panic = "abort")]
compile_error!("a plugin must be built with panic = \"unwind\", so that its panics can be caught");

mod export;
mod ffi;
mod message;

pub use hyperfake_plugin_abi::{Features, Prediction, Uniforms};

#[doc(hidden)]
pub use self::export::{Exported, RE_ENTRANT, assert_sync, descriptor};
#[doc(hidden)]
pub use hyperfake_plugin_abi as abi;

/// The result of a plugin's functions. Any error will do, a text as well:
/// `Err("no such unit".into())`.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Predicts how a call will behave.
///
/// # Behavior
///
/// - The worker makes one instance for each of its threads and uses it on one thread at a time. What
///   an instance changes belongs into a [`Cell`](std::cell::Cell) or
///   [`RefCell`](std::cell::RefCell).
/// - Exported as `re_entrant`, one instance serves all threads at once. Then the type has to be
///   [`Sync`], and what it changes belongs into an atomic or a lock.
/// - A prediction holds up a thread that serves other calls. It should take microseconds, and
///   neither wait nor read files. What can be computed beforehand belongs into
///   [`create`](Predictor::create).
pub trait Predictor: Sized + Send + 'static {
    /// Whether the same features may get different answers.
    const RANDOM: bool = false;

    /// Whether it knows how its numbers are distributed. Then the worker calls
    /// [`draw`](Predictor::draw) for each call, and [`predict`](Predictor::predict) gives the means.
    const DRAWS: bool = false;

    /// Makes an instance. `config` is one JSON object, `{}` when the model has no configuration.
    ///
    /// # Errors
    ///
    /// When the configuration is invalid: its text is shown to the user.
    fn create(config: &str) -> Result<Self>;

    /// Predicts one call.
    ///
    /// NaN, infinity and negative numbers in the answer are no error: the worker bounds them.
    ///
    /// # Errors
    ///
    /// Then the call fails with this text. The instance is used again.
    fn predict(&self, features: &Features) -> Result<Prediction>;

    /// Draws one call, if [`DRAWS`](Predictor::DRAWS) says that it can: each number is the quantile of
    /// its distribution at its own uniform number. So it does not decrease when that grows, and does not
    /// depend on the other two; and the mean over all of them is what is predicted.
    ///
    /// A worker from before version 1.1 of the contract predicts each call instead.
    ///
    /// # Errors
    ///
    /// As [`predict`](Predictor::predict).
    fn draw(&self, features: &Features, uniforms: &Uniforms) -> Result<Prediction> {
        let _ = uniforms;
        self.predict(features)
    }

    /// Predicts several calls, as if one by one; the slices have the same length.
    ///
    /// # Errors
    ///
    /// As [`predict`](Predictor::predict), for all the calls together.
    fn predict_batch(&self, features: &[Features], out: &mut [Prediction]) -> Result<()> {
        for (features, out) in features.iter().zip(out) {
            *out = self.predict(features)?;
        }
        Ok(())
    }
}
