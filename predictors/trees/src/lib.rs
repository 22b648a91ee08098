//! Evaluates ensembles of decision trees (random forests, gradient boosting) on one thread.
//!
//! An [`Ensemble`] states the trees as arrays. [`Forest::new`] checks and packs them once; then
//! [`Forest::run`] only compares and adds: without an allocation, without a lock, from any thread.
//!
//! ```
//! use hyperfake_predictor_trees::{
//!     Aggregate, Branch, Child, Comparison, Ensemble, Forest, Leaf, Vote,
//! };
//!
//! // One tree: 1.5 when the second input is at most 10, else 4.
//! let leaf = |weight| Leaf { votes: vec![Vote { target: 0, weight }] };
//! let forest = Forest::new(&Ensemble {
//!     inputs: 2,
//!     targets: 1,
//!     aggregate: Aggregate::Sum,
//!     base_values: vec![0.25],
//!     roots: vec![Child::Branch(0)],
//!     branches: vec![Branch {
//!         input: 1,
//!         comparison: Comparison::LessOrEqual,
//!         threshold: 10.0,
//!         missing_is_true: false,
//!         if_true: Child::Leaf(0),
//!         if_false: Child::Leaf(1),
//!     }],
//!     leaves: vec![leaf(1.5), leaf(4.0)],
//! })?;
//! let mut output = [0.0];
//! forest.run(&[99.0, 10.0], &mut output);
//! assert_eq!(output, [1.5 + 0.25]);
//! # Ok::<(), hyperfake_predictor::Error>(())
//! ```
//!
//! # Precision
//!
//! Inputs are compared with thresholds in single precision, exactly as stated: no threshold is
//! rounded. Weights are in single precision and are added up in double precision, so an output
//! does not depend on the order of the trees beyond the rounding of double precision. A runtime
//! that adds in single precision differs by about 6e-8 for each tree, relative to the largest
//! partial sum.
//!
//! # How a tree is walked
//!
//! A step of a walk is `node = first child of node + (input <= threshold)`, so the CPU has no
//! branch to mispredict. Eight trees are walked at a time, because their steps do not wait for
//! each other. A walk that has reached its leaf stays there until the other seven have.

mod ensemble;
mod forest;
mod pack;

pub use ensemble::{Aggregate, Branch, Child, Comparison, Ensemble, Leaf, Vote};
pub use forest::{Forest, MAX_INPUTS, MAX_TARGETS};
