#!/usr/bin/env bash
# Everything that is too long for every change, with its figures: threads under ThreadSanitizer, random programs and trainings, state walks,
# churn, first calls at once, every float through every function, tensors of more than 2^31 elements, verification of the whole suite, every mutant, fuzzing.
#   tests/soak.sh [--quick] [PART...]
# PART: tsan programs training walks churn rounds scaling math sizes verify mutants fuzz (default: all, about six hours on two cores).
# --quick: a hundredth of the numbers, to see that the script works. Exits non-zero when a part failed; logs are in build/soak.
set -euo pipefail
cd "$(dirname "$0")/.."
quick=""
[ "${1:-}" = --quick ] && { quick=yes; shift; }
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(tsan programs training walks churn rounds scaling math sizes verify mutants fuzz)
log=build/soak
mkdir -p "$log"
source tests/packages.sh
ensure_packages

# number FULL: the number, or a hundredth of it.
number() { [ -n "$quick" ] && echo $((($1 + 99) / 100)) || echo "$1"; }
build() { # PRESET [TARGET...]
  local preset=$1
  shift
  cmake --preset "$preset" -DSINTER_BUILD_BENCH=OFF >"$log/build-$preset.log" 2>&1 &&
    cmake --build --preset "$preset" ${1:+--target "$@"} >>"$log/build-$preset.log" 2>&1 || { tail -40 "$log/build-$preset.log"; return 1; }
}
release=build/release/tests

part_tsan() {
  build tsan chaos threads_test
  TSAN_OPTIONS=halt_on_error=1 build/tsan/tests/threads_test
  TSAN_OPTIONS=halt_on_error=1 build/tsan/tests/chaos --seconds "$(number 60)" --threads 16
}
part_programs() { $release/random_programs --programs "$(number 1000000)" --first 10000000; }
part_training() { $release/random_training --programs "$(number 100000)" --first 10000000; }
part_walks() { $release/state_walks "$(number 100000)" 1000000; }
part_churn() {
  if [ -n "$quick" ]; then $release/eviction_test; else $release/eviction_test '[soak]'; fi
  $release/code_memory_test
}
part_rounds() { if [ -n "$quick" ]; then $release/threads_test; else $release/threads_test '[soak]'; fi; }
part_scaling() { $release/threads_test '[scaling]'; }
part_sizes() { $release/foreign_memory_test '[soak]'; }
part_math() { $release/math_exhaustive ${quick:+--step 101}; }
part_verify() {
  SINTER_VERIFY=1 ctest --test-dir build/release -j2 --output-on-failure
  for sample in mymodel sincos train_step; do SINTER_VERIFY=1 build/release/samples/sample_$sample; done
}
part_mutants() { if [ -n "$quick" ]; then bash tests/mutants.sh --sample 3; else bash tests/mutants.sh; fi; }
part_fuzz() { bash tests/fuzz.sh "$(number 30)"; }

failed=()
build release
for part in "${parts[@]}"; do
  start=$SECONDS
  if "part_$part" >"$log/$part.log" 2>&1; then state=ok; else state=FAILED failed+=("$part"); fi
  printf '%-9s %-6s %5d s  %s\n' "$part" "$state" $((SECONDS - start)) "$(tail -1 "$log/$part.log")"
done
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]} (see $log)"; exit 1; }
