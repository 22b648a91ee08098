//! The C header, compiled: it is C99 and C++17, and it says what the Rust mirror says.

#![cfg(not(miri))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    io::ErrorKind,
    mem::{offset_of, size_of},
    path::Path,
    process::Command,
};

use hyperfake_plugin_abi as abi;

const STRICT: [&str; 4] = ["-pedantic", "-Wall", "-Wextra", "-Werror"];

#[test]
fn the_header_is_c99_with_the_layout_of_the_rust_mirror() {
    compile(Command::new("cc").arg("-std=c99").args(["-x", "c"]).args(layout()));
}

#[test]
fn the_header_is_cpp17_with_the_same_layout() {
    compile(Command::new("c++").arg("-std=c++17").args(["-x", "c++"]).args(layout()));
}

/// Compiles `layout.c`, or says that the compiler is missing.
fn compile(command: &mut Command) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    command.args(STRICT).arg("-fsyntax-only").arg("-I").arg(folder.join("include"));
    match command.arg(folder.join("tests/layout.c")).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: there is no {}", command.get_program().display());
        }
        output => {
            let output = output.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// The Rust side as macros for the C compiler.
fn layout() -> Vec<String> {
    let mut macros = vec![
        format!("-DRUST_MAGIC=UINT64_C({})", abi::MAGIC),
        format!("-DRUST_ABI_MAJOR={}", abi::ABI_MAJOR),
        format!("-DRUST_ABI_MINOR={}", abi::ABI_MINOR),
        format!("-DRUST_OK={}", abi::OK),
        format!("-DRUST_ERROR={}", abi::ERROR),
        format!("-DRUST_PANIC={}", abi::PANIC),
        format!("-DRUST_RE_ENTRANT={}", abi::RE_ENTRANT),
        format!("-DRUST_RANDOM={}", abi::RANDOM),
    ];
    macro_rules! layout_of {
        ($rust:ident is $c:ident: $($member:ident)*) => {
            macros.push(format!("-DRUST_{}={}", stringify!($c), size_of::<abi::$rust>()));
            $(macros.push(format!(
                "-DRUST_{}_{}={}",
                stringify!($c),
                stringify!($member),
                offset_of!(abi::$rust, $member)
            ));)*
        };
    }
    layout_of!(Features is hyperfake_features:
        request_bytes function_instances active_calls worker_cpu_cores worker_ram_bytes);
    layout_of!(Prediction is hyperfake_prediction: runtime_ns cpu_cores ram_bytes);
    layout_of!(Host is hyperfake_host: size abi_major abi_minor name);
    layout_of!(Descriptor is hyperfake_plugin_descriptor:
        magic size abi_major abi_minor name version flags create predict destroy predict_batch draw);
    layout_of!(Uniforms is hyperfake_uniforms: run_time cpu ram);
    macros
}
