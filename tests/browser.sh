#!/usr/bin/env bash
# Looks at the live page of a worker in headless Chromium.
# Where there is no browser, the tests are skipped, and said so; with HYPERFAKE_TEST_ALL that is a failure.
#
#   tests/browser.sh path/to/hyperfake
set -euo pipefail
hyperfake=$(realpath "$1")
cd "$(dirname "$0")/.."
python=$(command -v "${HYPERFAKE_TEST_PYTHON:-python3}" || true)
missing=
[ -n "$python" ] && "$python" -c 'import grpc, selenium' 2> /dev/null || missing="Python with grpcio and selenium"
command -v chromium chromium-browser google-chrome > /dev/null || missing="${missing:+$missing, }Chromium"
command -v chromedriver > /dev/null || missing="${missing:+$missing, }chromedriver"
if [ -n "$missing" ]; then
    echo "the live page: skipped, missing: $missing"
    [ -z "${HYPERFAKE_TEST_ALL:-}" ]
    exit
fi
exec "$python" tests/browser/page.py "$hyperfake"
