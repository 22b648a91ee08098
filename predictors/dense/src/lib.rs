//! Runs small feed-forward networks on one thread, a fraction of a microsecond each.
//!
//! Most predictors are networks of a few thousand multiplications, for which a general runtime
//! spends its time on everything but them. Here a [`Network`] is checked and packed once, and a
//! [`Runner`], one for each thread, then only computes: with the vector instructions that the CPU
//! turns out to have ([`Isa`]), without an allocation, without a lock.
//!
//! ```
//! use hyperfake_predictor_dense::{Activation, Dense, Isa, Network, Step};
//!
//! // Two inputs, scaled; two hidden units; one output.
//! let network = Network::new(
//!     2,
//!     vec![
//!         Step::Add(vec![-10.0, 0.0]),
//!         Step::Div(vec![2.0, 1.0]),
//!         Step::Dense(Dense { weights: vec![1.0, 0.0, -1.0, 1.0], bias: vec![0.0, 0.5] }),
//!         Step::Activation(Activation::Relu),
//!         Step::Dense(Dense { weights: vec![3.0, 1.0], bias: vec![0.25] }),
//!     ],
//! )?;
//! let mut runner = network.runner(Isa::detect());
//! let mut output = [0.0];
//! runner.run(&[14.0, 7.0], &mut output);
//! assert_eq!(output, [3.0 * 2.0 + 5.5 + 0.25]);
//! # Ok::<(), hyperfake_predictor::Error>(())
//! ```
//!
//! # Precision
//!
//! Everything is computed in single precision, as a runtime does with a file of single-precision
//! weights. The inputs' scaling stays the subtraction and the division that the network states,
//! in that order: 2e8 bytes less a mean of 2e8 must not be computed as the difference of two
//! large products. What follows a dense layer (the scaling of outputs, a batch normalisation) is
//! multiplied into its weights, in double precision and then rounded once. Sums are added up in
//! another order than a runtime's, so answers agree to rounding and not to the bit; one
//! instruction set gives the same bits every time, one by one and in batches.
//!
//! A weight below 2^-100 counts as zero: training leaves such weights behind, and multiplying
//! them made networks from the field six times as slow. NaN in an input is NaN in every output
//! that depends on it. An infinite input gives an infinite answer or NaN, though not always the
//! one of the two that another runtime gives: infinity times a weight that counts as zero is NaN.

#[allow(unsafe_code, reason = "vector instructions; see docs/adr/0020-a-kernel-of-our-own.md")]
mod kernel;
mod math;
mod network;
mod pack;
mod reference;
mod runner;

pub use kernel::Isa;
pub use network::{Activation, Dense, Network, Step};
pub use reference::Reference;
pub use runner::Runner;
