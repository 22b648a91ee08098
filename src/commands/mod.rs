//! The commands of `hyperfake`.

pub mod doctor;
pub mod models;
pub mod predict;
