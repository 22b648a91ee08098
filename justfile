# The commands of this repository; `just check` is what CI runs.

set shell := ["bash", "-euo", "pipefail", "-c"]

_list:
    @just --list

# Everything that CI checks
check: format deny lint test doc clients browser deploy instructions

# The sources are formatted
format:
    cargo fmt --all --check

# No warning, in code or tests
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# All tests
test:
    cargo test --workspace

# The tests of records with the feature `parquet`; not among those that CI runs, as it builds everything anew
test-parquet:
    cargo test --workspace --features parquet --lib -- record::

# The tests of spans with the feature `otlp`; they build everything anew as well
test-otlp:
    cargo test --workspace --features otlp --lib -- otlp::

# The documentation builds, without a warning
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# A worker serves independent clients: Python's grpcio, grpcurl, h2load
clients:
    cargo test --workspace --no-run --quiet
    tests/clients.sh "${CARGO_TARGET_DIR:-target}/debug/hyperfake"

# The live page in headless Chromium; needs chromium, chromium-driver, and Python with selenium and grpcio
browser:
    cargo test --workspace --no-run --quiet
    tests/browser.sh "${CARGO_TARGET_DIR:-target}/debug/hyperfake"

# The image and the manifests are well-formed: kubernetes-validate, hadolint
deploy:
    tests/deploy.sh

# One prediction and one call cost as many instructions as before; needs valgrind
instructions *args:
    benches/instructions.py {{args}}

# A worker that is churned for long (10m) stays as it was; with --scenario chaos, its record, its clients and its counters agree
soak *args:
    cargo bench --profile dist --bench soak -- --run {{args}}

# What one client can do to the others: memory, descriptors and other clients' times; uses h2spec if it is there
attack *args:
    cargo test --profile dist --test attack -- --include-ignored --test-threads 1 {{args}}

# Put ONNX Runtime in place, from its wheel on PyPI
ort *args:
    scripts/fetch-onnxruntime.py {{args}}

# Compare the predictor backends; --help shows the options
bench-backends *args: (_bench "backends" args)

# Compare the worker with the same server that does nothing; needs h2load
bench-server *args:
    cargo build --profile dist --bin hyperfake --example floor_server
    benches/server.py "${CARGO_TARGET_DIR:-target}"/dist/{hyperfake,examples/floor_server} --readme benches/README.md {{args}}

# Measure what a record costs the worker that writes it; needs h2load
bench-record *args:
    cargo build --profile dist --bin hyperfake
    benches/record.py "${CARGO_TARGET_DIR:-target}/dist/hyperfake" --readme benches/README.md {{args}}

# Measure what the live page costs the worker that shows it; needs h2load
bench-page *args:
    cargo build --profile dist --bin hyperfake
    benches/page.py "${CARGO_TARGET_DIR:-target}/dist/hyperfake" --readme benches/README.md {{args}}

# Measure how exact the worker's times are, idle and under load; needs h2load
bench-timing *args:
    cargo build --profile dist --bin hyperfake
    benches/timing.py "${CARGO_TARGET_DIR:-target}/dist/hyperfake" --readme benches/README.md {{args}}

# Measure how wrong fakes of the functions in examples/functions are; takes 20 minutes
fidelity *args:
    cargo build --release --bin hyperfake
    cargo build --release -p hyperfake-functions
    benches/fidelity.py "${CARGO_TARGET_DIR:-target}"/release/{hyperfake,functions} --page docs/guide/fidelity.md {{args}}

# Measure start-up, and the memory of a worker, an instance, a call in flight, a fleet
bench-many *args: (_bench "many" "--measure" args)

# Run a bench that is written in Rust; what it measured of everything goes into the README
_bench name *args:
    rm -f "${CARGO_TARGET_DIR:-target}/bench/{{name}}.md"
    cargo bench --profile dist --bench {{name}} -- --machine "$(benches/report.py --machine)" {{args}}
    table="${CARGO_TARGET_DIR:-target}/bench/{{name}}.md"; \
        [ ! -f "$table" ] || benches/report.py benches/README.md {{name}} "$table"

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

# Write the sample traces again.
traces:
    cargo run -p hyperfake-traces -- traces/samples

# Licences, bans and sources of the dependencies; needs cargo-deny
deny:
    cargo deny check bans licenses sources

# Fuzz one of json, settings, uri, frames, plugin and onnx for so many seconds (needs cargo-fuzz and a C++ compiler)
fuzz target seconds *args:
    mkdir -p fuzz/target/corpus/{{target}}
    RUSTC_BOOTSTRAP=1 cargo fuzz run \
        --sanitizer {{ if target == "plugin" { "address" } else { "none" } }} \
        {{ if target == "onnx" { "--features onnx" } else { "" } }} \
        {{target}} fuzz/target/corpus/{{target}} fuzz/corpus/{{target}} -- \
        -max_total_time={{seconds}} -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=1024 \
        $([ ! -f fuzz/dictionaries/{{target}}.dict ] || echo -dict=fuzz/dictionaries/{{target}}.dict) {{args}}
