//! The commands of `hyperfake`, one file each: what was typed is mapped to the types of the module
//! that does the work, and what came of it to a report.

mod body;
pub mod call;
pub mod clone;
pub mod compare;
pub mod completions;
pub mod doctor;
pub mod fit;
pub mod function;
pub mod health;
mod interrupt;
pub mod load;
pub mod measure;
pub mod models;
pub mod plot;
pub mod predict;
pub mod replay;
pub mod scenario;
mod sender;
pub mod server;
mod target;
mod through;
pub mod top;

/// What a command shows on standard output, and whether what it looked at is as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The text, without a line end.
    pub text: String,
    /// Whether the program ends with success.
    pub succeeded: bool,
}

impl Output {
    fn success(text: String) -> Self {
        Self { text, succeeded: true }
    }
}
