//! `hyperfake completions`: a script for a shell.

use clap_complete::Shell;

use super::Output;
use crate::args;

/// The script that completes this program's options in a shell.
#[must_use]
pub fn run(shell: Shell) -> Output {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::parser(), "hyperfake", &mut script);
    let script = String::from_utf8_lossy(&script);
    Output::success(script.trim_end_matches('\n').to_owned())
}
