//! Trains small feed-forward networks: dense layers with rectifiers between them, by gradient descent
//! (Adam) in double precision.
//!
//! The result is bit for bit the same on every machine: a step is made of additions, multiplications,
//! divisions and square roots in a fixed order; the functions beyond that come from `libm`.

mod descent;
mod layer;
mod quantiles;

pub use descent::{BATCH, Batch, Descent};
pub use layer::{Layer, answer};
pub use quantiles::QuantileHeads;
