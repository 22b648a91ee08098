#!/usr/bin/env bash
# Drives a worker with clients that are not ours: Python's grpcio, grpcurl and h2load.
# A client that is not installed is skipped, and said so; with HYPERFAKE_TEST_ALL that is a failure.
#
#   tests/clients.sh path/to/hyperfake
set -euo pipefail
hyperfake=$1
cd "$(dirname "$0")/.."
work=$(mktemp -d)
ran=0 skipped=0
cleanup() { [ -n "${server:-}" ] && kill "$server" 2>/dev/null && wait "$server"; rm -rf "$work"; }
trap cleanup EXIT

echo '{"kind": "constant", "runtime_ns": 0, "cpu_cores": 0, "ram_bytes": 0}' > "$work/nothing.json"
"$hyperfake" server --address 127.0.0.1:0 --database-address http://127.0.0.1:0 --max-rpcs 0 \
    --models-dir models -m "$work/nothing.json" > "$work/out" 2> "$work/log" &
server=$!
for _ in $(seq 100); do grep -q "functions are" "$work/out" && break; sleep 0.1; done
grep -q "functions are" "$work/out" || { cat "$work/out" "$work/log"; exit 1; }
# Any free ports: the worker says which.
port=$(sed -n 's/^serving on .*:\([0-9]*\),.*/\1/p' "$work/out")
database=$(sed -n 's/^functions are registered here, at \(.*\)$/\1/p' "$work/out")

register() { curl -sf -d "{\"image_tag\": \"$1\"}" $database | sed 's/.*: *"\([^"]*\)".*/\1/'; }

python=$(command -v "${HYPERFAKE_TEST_PYTHON:-python3}" || true)
if [ -n "$python" ] && "$python" -c 'import grpc_tools' 2>/dev/null; then
    echo "== python"
    "$python" tests/python/client.py 127.0.0.1:$port $database hyperfaas-echo
    ran=$((ran + 1))
else
    echo "== python: skipped, no Python with grpcio-tools"; skipped=$((skipped + 1))
fi

function=$(register nothing)
if command -v grpcurl > /dev/null; then
    echo "== grpcurl"
    grpcurl -plaintext 127.0.0.1:$port list | tee "$work/list"
    grep -q '^controller.Controller$' "$work/list"
    grpcurl -plaintext -d '{"service": "worker"}' 127.0.0.1:$port grpc.health.v1.Health/Check | grep SERVING
    grpcurl -plaintext -d "{\"id\": \"$function\"}" 127.0.0.1:$port controller.Controller/Start
    grpcurl -v -plaintext -d "{\"function_id\": {\"id\": \"$function\"}, \"request_id\": 7}" \
        127.0.0.1:$port controller.Controller/Call | tee "$work/call"
    grep -q 'functionprocessingtime: 0' "$work/call"
    ran=$((ran + 1))
else
    echo "== grpcurl: skipped, not installed"; skipped=$((skipped + 1))
fi

if command -v h2load > /dev/null; then
    echo "== h2load"
    # A FunctionID with the function's id (36 bytes) in field 1, behind gRPC's five bytes.
    printf '\0\0\0\0\x26\x0a\x24%s' "$function" > "$work/body"
    h2load -n 1 -c 1 -d "$work/body" -H 'content-type: application/grpc' -H 'te: trailers' \
        "http://127.0.0.1:$port/controller.Controller/Start" > /dev/null
    # A CallRequest with the function's id (36 bytes) in field 4, behind gRPC's five bytes.
    printf '\0\0\0\0\x28\x22\x26\x0a\x24%s' "$function" > "$work/body"
    h2load -n 60000 -c 4 -m 16 -d "$work/body" -H 'content-type: application/grpc' -H 'te: trailers' \
        "http://127.0.0.1:$port/controller.Controller/Call" > "$work/h2load"
    grep -E '^(finished|requests|status codes|traffic|request  )' "$work/h2load"
    grep -q '60000 succeeded, 0 failed, 0 errored' "$work/h2load"
    # h2load does not look at grpc-status: each answer must have brought its data.
    data=$(sed -n 's/.* \([0-9]*\)) data$/\1/p;s/.*(\([0-9]*\)) data.*/\1/p' "$work/h2load" | tail -n 1)
    [ "${data:-0}" -ge $((60000 * 20)) ] || { echo "answers without data: $data bytes"; exit 1; }
    ran=$((ran + 1))
else
    echo "== h2load: skipped, not installed"; skipped=$((skipped + 1))
fi
echo "$ran passed, 0 failed, $skipped skipped"
[ "$skipped" = 0 ] || [ -z "${HYPERFAKE_TEST_ALL:-}" ]
