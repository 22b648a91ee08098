//! The backend from outside: real files, opened as the worker opens them.
#![allow(clippy::duplicate_mod, reason = "two checks share what they write files with")]
#![allow(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

mod corpus;
mod dense;
mod file;
mod generated;
mod linear;
mod lowering;
mod networks;
mod operators;
mod ranks;
mod refusals;
mod sklearn;
mod suite;
mod trees;
