//! The program under valgrind, with which the author of a plugin looks for faults.

use crate::program::{HYPERFAKE, Served, command, found};

/// valgrind hides the page with which the kernel lets programs read the time (vDSO); a program that looks
/// for it past libc ends with a fault.
#[test]
fn a_worker_serves_and_ends_under_valgrind() {
    let Some(valgrind) = found("valgrind", None) else { return };
    let mut under_valgrind = command(valgrind);
    under_valgrind.args(["--tool=none", HYPERFAKE]);
    let served = Served::start_as(under_valgrind, "-m models/hyperfaas-echo.onnx");
    served.signal("-TERM");
    let (code, log) = served.end();
    assert_eq!(code, Some(0), "{log}");
}
