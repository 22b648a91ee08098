#![no_main]

use std::{
    collections::BTreeSet,
    panic,
    sync::{Mutex, PoisonError},
};

#[path = "../checks/onnx.rs"]
mod check;
#[path = "onnx/mutate.rs"]
mod mutate;

libfuzzer_sys::fuzz_target!(init: stop_at_our_panics(), |bytes: &[u8]| check::check(bytes));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::mutate(data, size, max_size, seed)
});

/// A panic in tract is caught and is a refusal, so it is only printed, once for each place. A panic
/// in our own code is a finding.
fn stop_at_our_panics() {
    static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let abort = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let theirs = place.contains("/registry/src/") && !place.contains("libfuzzer");
        if !theirs {
            return abort(info);
        }
        if SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(place) {
            eprintln!("CAUGHT: {info}");
        }
    }));
}
