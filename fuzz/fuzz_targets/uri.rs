#![no_main]

#[path = "../checks/uri.rs"]
mod uri;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| uri::check(bytes));
