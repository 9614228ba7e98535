#!/usr/bin/env bash
# Builds the libFuzzer targets and runs them over their corpora; fails on a crash.
#   tests/fuzz.sh [--minimise] [MINUTES [TARGET...]]
# MINUTES each (default 30). TARGET: program, walk, graph, arguments, ... (default: all). New inputs go to build/fuzz/found/TARGET,
# crashing ones to build/fuzz/crashes/TARGET. --minimise: afterwards the checked-in corpus is what covers the same with fewest
# inputs, at most 150 of them. Debian's clang 14 is installed first when it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
minimise=""
[ "${1:-}" = --minimise ] && { minimise=yes; shift; }
minutes=${1:-30}
shift || true
[[ $minutes =~ ^[0-9]+$ ]] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
if [ $# -gt 0 ]; then targets=("$@"); else targets=($(cd tests/fuzz && ls -- *_fuzzer.cpp | sed 's/_fuzzer\.cpp$//')); fi

source tests/packages.sh
ensure_packages
ensure_packages clang-14 libclang-rt-14-dev
mkdir -p build
echo "building fuzz"
{ cmake --preset fuzz && cmake --build --preset fuzz --target "${targets[@]/%/_fuzzer}"; } >build/fuzz.log 2>&1 ||
  { cat build/fuzz.log; exit 1; }

# Leaks: thread caches and compiled code live to the end of the process on purpose. A refused allocation is an error to catch.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
failed=0
for target in "${targets[@]}"; do
  corpus=tests/fuzz/corpus/$target found=build/fuzz/found/$target crashes=build/fuzz/crashes/$target log=build/fuzz/$target.log
  fuzzer=build/fuzz/tests/fuzz/${target}_fuzzer
  mkdir -p "$corpus" "$found" "$crashes"
  rc=0
  "$fuzzer" -max_total_time=$((minutes * 60)) -max_len=4096 -timeout=30 -rss_limit_mb=4096 -print_final_stats=1 \
    -artifact_prefix="$crashes/" "$found" "$corpus" >"$log" 2>&1 || rc=$?
  executions=$(sed -nE 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -1 || true)
  echo "$target: ${executions:-?} executions in $minutes min, ${coverage:-no coverage}, exit $rc"
  if [ "$rc" -ne 0 ]; then
    failed=1
    grep -vE '^#[0-9]+[[:space:]]+(NEW|REDUCE|pulse|RELOAD|INITED)' "$log" | tail -60
    echo "reproduce: $fuzzer $(sed -nE 's/.*Test unit written to //p' "$log" | tail -1)"
  elif [ -n "$minimise" ]; then
    small=$(mktemp -d)
    "$fuzzer" -merge=1 -max_len=4096 "$small" "$corpus" "$found" >>"$log" 2>&1
    rm -f "$corpus"/*
    ls -S -r "$small" | awk -v n="$(ls "$small" | wc -l)" 'NR % int(n / 150 + 1) == 0' | while read -r f; do cp "$small/$f" "$corpus/"; done
    rm -rf "$small"
    echo "$target: corpus of $(ls "$corpus" | wc -l) inputs"
  fi
done
exit $failed
