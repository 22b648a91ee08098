# The commands of this repository; `just check` is what CI runs.

set shell := ["bash", "-euo", "pipefail", "-c"]

_list:
    @just --list

# Everything that CI checks
check: format lint test doc clients

# The sources are formatted
format:
    cargo fmt --all --check

# No warning, in code or tests
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# All tests
test:
    cargo test --workspace

# The documentation builds, without a warning
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# A worker serves clients that are not ours: Python's grpcio, grpcurl, h2load
clients:
    cargo test --workspace --no-run --quiet
    tests/clients.sh "${CARGO_TARGET_DIR:-target}/debug/hyperfake"

# Put ONNX Runtime in place, from its wheel on PyPI
ort *args:
    scripts/fetch-onnxruntime.py {{args}}

# The plugin host's tests under valgrind
valgrind:
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --quiet --error-exitcode=1 --leak-check=full --errors-for-leak-kinds=definite" \
        cargo test -p hyperfake-plugin-host -p noisy --lib --tests

# The plugin border's static-table tests under Miri (needs a nightly toolchain with miri)
miri:
    MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test \
        -p hyperfake-plugin-abi -p hyperfake-plugin-sdk -p hyperfake-plugin-host --lib --tests

# Make the sample models anew
models:
    cargo run --release -p hyperfake-models

# Licences, bans and sources of the dependencies (needs cargo-deny)
deny:
    cargo deny check bans licenses sources
