#!/usr/bin/env bash
# Builds sinter and runs every test; ends in ctest's summary.
#   tests/run.sh [--sanitize | --no-sanitize]
# --sanitize also runs the tests that touch memory most under AddressSanitizer and UndefinedBehaviorSanitizer, and with the same build
# a sample of the mutants (default: when CI is set). tests/soak.sh runs what takes hours. Missing Debian packages are installed first; as a plain user without sudo they have to be there.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
sanitize=${CI:+yes}
case "${1:-}" in
  "") ;;
  --sanitize) sanitize=yes ;;
  --no-sanitize) sanitize="" ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

# Not worth a slow build: these sweep numbers or shapes through code that other tests reach too; the fault tests have their own
# malloc; and AddressSanitizer's allocator keeps its locks in the child of a program with threads.
not_sanitized='^(math_ulp|gradcheck|kernels_gemm|kernels_random|kernels_reduce|kernels_softmax_norm|program_random|codegen_decode'
not_sanitized+='|codegen_guard_page|faults|faults_interpreted|process)_test$'

# Configures and builds quietly: the whole log is shown only when it fails.
build() {
  local preset=$1 log="build/$1.log"
  shift
  mkdir -p build
  echo "building $preset"
  { cmake --preset "$preset" "${options[@]}" && cmake --build --preset "$preset" "$@"; } >"$log" 2>&1 || { cat "$log"; exit 1; }
}

source tests/packages.sh
ensure_packages
options=(-DSINTER_BUILD_BENCH=ON)
build release
ctest --test-dir build/release -j2 --output-on-failure

if [ -n "$sanitize" ]; then
  options=(-DSINTER_BUILD_BENCH=OFF -DSINTER_MUTANTS=ON)
  targets=$(cd tests && ls -- *_test.cpp | sed 's/\.cpp$//' | grep -vE "$not_sanitized")
  build asan-ubsan --target $targets
  # The same draw each time: a survivor must not come and go with the commit. All of them: tests/soak.sh mutants.
  bash tests/mutants.sh --sample 12 --seed 9426233 --build build/asan-ubsan --no-baseline
  ctest --test-dir build/asan-ubsan -j2 --output-on-failure -R '_test$' -E "$not_sanitized"
fi
