#![no_main]

// Parts of the plugin host that are not public.
#[allow(dead_code, unreachable_pub)]
#[path = "../../plugins/host/src/config.rs"]
mod config;
#[allow(dead_code)]
#[path = "../../plugins/host/src/descriptor.rs"]
mod descriptor;
#[allow(dead_code)]
#[path = "../../plugins/host/src/elf.rs"]
mod elf;
#[allow(dead_code)]
#[path = "../../plugins/host/src/error_buffer.rs"]
mod error_buffer;

#[path = "../checks/plugin.rs"]
mod plugin;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| plugin::check(bytes));
