//! What an operator looks at.

pub mod metrics;
