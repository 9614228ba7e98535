#!/usr/bin/env bash
# Every float32 function on all 2^32 floats, as eager kernels and as generated code of every instruction set; about an hour on one core.
#   tests/math_exhaustive.sh [--step N] [NAME...]      N: only every N-th float
# Prints for each function its worst error in ULP, where, its bound, and whether all ways give the same bits. Exits with 1 if not.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/packages.sh
ensure_packages
mkdir -p build
{ cmake --preset release && cmake --build --preset release --target math_exhaustive; } >build/math_exhaustive.log 2>&1 ||
  { tail -40 build/math_exhaustive.log; exit 1; }
exec nice -n 19 build/release/tests/math_exhaustive "$@"
