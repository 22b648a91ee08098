#!/usr/bin/env bash
# Checks the files of deploy/ with tools that know their formats: kubernetes-validate has Kubernetes' own
# schemas, hadolint the rules for Dockerfiles. A tool that is not installed is skipped, and said so; with
# HYPERFAKE_TEST_ALL that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
ran=0 skipped=0

if command -v kubernetes-validate > /dev/null; then
    echo "== kubernetes-validate"
    manifests=(deploy/kubernetes/worker.yaml deploy/kubernetes/function-store.yaml)
    # What a cluster is given, where there is a kubectl that puts it together.
    if command -v kubectl > /dev/null; then
        rendered=$(mktemp)
        trap 'rm -f "$rendered"' EXIT
        kubectl kustomize deploy/kubernetes > "$rendered"
        manifests+=("$rendered")
    fi
    # An older release of Kubernetes, and the newest that the tool knows.
    for version in "--kubernetes-version 1.33" ""; do
        # shellcheck disable=SC2086 # two words or none
        kubernetes-validate --strict --quiet $version "${manifests[@]}"
    done
    ran=$((ran + 1))
else
    echo "== kubernetes-validate: skipped, not installed"; skipped=$((skipped + 1))
fi

if command -v hadolint > /dev/null; then
    echo "== hadolint"
    hadolint deploy/Dockerfile
    ran=$((ran + 1))
else
    echo "== hadolint: skipped, not installed"; skipped=$((skipped + 1))
fi

echo "$ran passed, 0 failed, $skipped skipped"
[ "$skipped" = 0 ] || [ -z "${HYPERFAKE_TEST_ALL:-}" ]
