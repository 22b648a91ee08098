//! HTTP pages for operators.

pub mod metrics;
