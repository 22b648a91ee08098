//! Keeps ONNX Runtime from reporting on the machine it runs on
//! (docs/adr/0034-onnx-runtime-reports-nothing.md).
#![allow(unsafe_code, reason = "the only switch is an environment variable of this process")]

use std::env;

const SWITCH: &str = "ORT_DISABLE_TELEMETRY";

/// Turns ONNX Runtime's telemetry off, for all that this process loads later; says whether it is
/// off. Newer builds for Linux otherwise write to the user's cache folder and start a thread as
/// soon as a model is opened, with any options.
///
/// It is an environment variable, `ORT_DISABLE_TELEMETRY`, and can only be set while the process
/// has one thread: this is for the first line of `main`. A value that the user has set stays.
pub fn turn_off_telemetry() -> bool {
    if env::var_os(SWITCH).is_some() {
        return true;
    }
    if !is_only_thread() {
        return false;
    }
    // SAFETY: no other thread can read the environment meanwhile, for there is none, and none can
    // start but from this one.
    unsafe { env::set_var(SWITCH, "1") };
    true
}

/// The threads of a process are counted on Linux only.
fn is_only_thread() -> bool {
    cfg!(target_os = "linux")
        && std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}
