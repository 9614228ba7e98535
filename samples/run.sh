#!/bin/bash
# Installs what is missing, builds the release preset and runs the main job. Arguments go to the job.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
source tests/packages.sh
ensure_packages

log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
  "$@" >"$log" 2>&1 || { cat "$log"; echo "main_job FAILED $1 (see above)"; exit 1; }
}
echo "building (build/release) ..."
quietly cmake --preset release
quietly cmake --build build/release -j "$(nproc)" --target sample_mymodel sample_sincos sample_train_step
exec build/release/samples/sample_mymodel "$@"
