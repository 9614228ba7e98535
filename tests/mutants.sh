#!/usr/bin/env bash
# Tests the tests: plants one fault at a time (the rows of runtime/mutants.def) and expects the suite to notice it.
#   tests/mutants.sh [--sample N [--seed S] | --only NAME]... [--build DIR] [--no-baseline] [--jobs N]
#   tests/mutants.sh --check
# For each mutant its expected test programs run first, then, while none fails, all the others, until one fails ("killed by").
# Exits non-zero when a mutant survived, or when the suite is not green without one.
#   --sample N     N mutants drawn by chance (--seed S: the same draw again); default: all
#   --only NAME    this mutant
#   --build DIR    a build with SINTER_MUTANTS=ON; default: builds preset "mutants"
#   --no-baseline  do not run the suite without a mutant first (it has just run)
#   --jobs N       mutants at a time; default 2
#   --check        only compare the table with the places in the sources
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
usage() { sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2; }

sample="" seed=$RANDOM only=() build="" baseline=yes jobs=2 check=""
while [ $# -gt 0 ]; do
  case "$1" in
    --sample) sample=${2:?}; shift 2 ;;
    --seed) seed=${2:?}; shift 2 ;;
    --only) only+=("${2:?}"); shift 2 ;;
    --build) build=${2:?}; shift 2 ;;
    --jobs) jobs=${2:?}; shift 2 ;;
    --no-baseline) baseline=""; shift ;;
    --check) check=yes; shift ;;
    *) usage ;;
  esac
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "kind<TAB>name<TAB>tests" for every row of the table.
sed -nE 's/^MUTANT\(([a-z_]+), ([a-z0-9_]+), "[^"]*", "([^"]*)"\)$/\1\t\2\t\3/p' runtime/mutants.def >"$work/table"
[ "$(grep -c '^MUTANT' runtime/mutants.def)" -eq "$(wc -l <"$work/table")" ] || { echo "a row of runtime/mutants.def cannot be read" >&2; exit 2; }

# Every row has a place in the sources, every place a row, no name is there twice.
cut -f2 "$work/table" | sort >"$work/rows"
grep -rhoE --include='*.cpp' --include='*.h' 'SINTER_MUTANT\([a-z0-9_]+\)' runtime codegen engine frontend |
  sed -E 's/.*\((.*)\)/\1/' | grep -vx name | sort -u >"$work/places"
{
  uniq -d "$work/rows" | sed 's/$/: two rows/'
  sort -u "$work/rows" | comm -23 - "$work/places" | sed 's/$/: a row without a place/'
  sort -u "$work/rows" | comm -13 - "$work/places" | sed 's/$/: a place without a row/'
} >"$work/faults"
cat "$work/faults"
[ -s "$work/faults" ] && exit 1
[ -n "$check" ] && { echo "mutants: $(wc -l <"$work/rows") rows, each with its place"; exit 0; }

if [ ${#only[@]} -gt 0 ]; then
  for name in "${only[@]}"; do awk -F'\t' -v n="$name" '$2 == n' "$work/table"; done >"$work/chosen"
  [ "$(wc -l <"$work/chosen")" -eq ${#only[@]} ] || { echo "no such mutant among: ${only[*]}" >&2; exit 2; }
elif [ -n "$sample" ]; then
  echo "sample of $sample mutants, seed $seed"
  awk -v seed="$seed" 'BEGIN {srand(seed)} {printf "%.9f\t%s\n", rand(), $0}' "$work/table" | sort | cut -f2- |
    while IFS=$'\t' read -r kind name tests; do
      # A build of some of the suite only (with sanitizers) is asked about mutants that these tests are to notice.
      [ -z "$build" ] || (cd "$build/tests" && ls) | grep -qxE "$tests" || continue
      printf '%s\t%s\t%s\n' "$kind" "$name" "$tests"
    done | awk -v n="$sample" 'NR <= n' >"$work/chosen"
else
  cp "$work/table" "$work/chosen"
fi

if [ -z "$build" ]; then
  build=build/mutants
  mkdir -p build
  echo "building mutants"
  { cmake --preset mutants -DSINTER_BUILD_BENCH=OFF && cmake --build --preset mutants; } >build/mutants.log 2>&1 ||
    { cat build/mutants.log; exit 2; }
fi
build=$(cd "$build" && pwd)

# The suite: test programs as ctest runs them.
ulimit -c 0
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=0 TSAN_OPTIONS=halt_on_error=1
export build work
find "$build/tests" -maxdepth 1 -type f -executable -name '*_test' -printf '%f\n' | sort >"$work/programs"
for program in random_programs random_training state_walks; do
  if [ -x "$build/tests/$program" ]; then echo "$program" >>"$work/programs"; fi
done
[ -s "$work/programs" ] || { echo "no test programs in $build/tests" >&2; exit 2; }

# Runs one test program with at most $2 seconds; its output goes to $3.
run_program() {
  local arguments=(--abort)
  case "$1" in
    random_programs) arguments=(--programs 1000 --first 1) ;;
    random_training) arguments=(--programs 200 --first 1) ;;
    state_walks) arguments=(500 1) ;;
  esac
  (cd "$build/tests" && timeout -k 5 "$2" "./$1" "${arguments[@]}") >"$3" 2>&1
}

# What a mutant's first failing program says: "timeout", a signal, or nothing for a failed check.
how() {
  case "$1" in
    124 | 137) echo " (timeout)" ;;
    13[0-9] | 14[0-9]) echo " (signal $(($1 - 128)))" ;;
  esac
}

run_mutant() {
  local kind=$1 name=$2 expected=$3 program status log="$work/log.$BASHPID"
  for program in $(grep -xE "$expected" "$work/programs") $(grep -vxE "$expected" "$work/programs"); do
    status=0
    SINTER_MUTANT=$name run_program "$program" 120 "$log" || status=$?
    [ $status -eq 0 ] && continue
    local note=""
    grep -qxE "$expected" <<<"$program" || note="  [expected: $expected]"
    echo "$name: killed by $program$(how $status)$note"
    printf '%s\tkilled\n' "$kind" >>"$work/results"
    return
  done
  echo "$name: SURVIVED  [expected: $expected]"
  printf '%s\tsurvived\n' "$kind" >>"$work/results"
}
export -f run_program run_mutant how

# A build without the mutants would let every one of them survive.
first=$(head -n 1 "$work/programs")
(cd "$build/tests" && SINTER_MUTANT=no_such_mutant "./$first") >"$work/log" 2>&1 && refused=no || refused=yes
[ $refused = yes ] && grep -q "no mutant 'no_such_mutant'" "$work/log" || { echo "$build was not built with SINTER_MUTANTS=ON" >&2; exit 2; }

if [ -n "$baseline" ]; then
  echo "the suite without a mutant: $(wc -l <"$work/programs") programs"
  green() { run_program "$1" 600 "$work/base.$1" || { echo "not green without a mutant: $1"; tail -n 20 "$work/base.$1"; return 1; }; }
  export -f green
  xargs -P "$jobs" -I{} bash -c 'green "$1"' _ {} <"$work/programs" || exit 1
fi

: >"$work/results"
tr '\t' '\n' <"$work/chosen" | xargs -d '\n' -n 3 -P "$jobs" bash -c 'run_mutant "$@"' _ 2>/dev/null

awk -F'\t' '{++total[$1]; killed[$1] += $2 == "killed"} END {for (k in total) printf "  %-15s %3d of %3d\n", k, killed[k], total[k]}' \
  "$work/results" | sort
killed=$(grep -c 'killed$' "$work/results" || true)
survived=$(grep -c 'survived$' "$work/results" || true)
echo "mutants: $killed killed, $survived survived"
[ "$survived" -eq 0 ] && [ "$((killed + survived))" -eq "$(wc -l <"$work/chosen")" ]
