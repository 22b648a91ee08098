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
    cargo build
    tests/clients.sh "${CARGO_TARGET_DIR:-target}/debug/hyperfake"

# Make the sample models anew
models:
    cargo run --release -p hyperfake-models

# Licences, bans and sources of the dependencies (needs cargo-deny)
deny:
    cargo deny check bans licenses sources
