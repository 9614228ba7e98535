#!/usr/bin/env bash
# Builds and runs the benchmark and prints one table: sinter eager, sinter compiled and, where libtorch-dev is installed, LibTorch.
#   bench/run.sh [--json FILE] [--filter REGEX] [--repetitions N] [--min-time SECONDS] [--core N] [--roofline FILE.svg]
# Times are medians over the repetitions, interleaved at random, on one pinned core with one thread. Stop other work first.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
json="" roofline="" filter="." repetitions=5 min_time=0.2 core=""

usage() { sed -n '2,4s/^# \{0,1\}//p' "$0"; }
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --json | --filter | --repetitions | --min-time | --core | --roofline)
      [ $# -ge 2 ] || { echo "$1 needs a value" >&2; exit 2; }
      case "$1" in
        --json) json=$2 ;;
        --filter) filter=$2 ;;
        --repetitions) repetitions=$2 ;;
        --min-time) min_time=$2 ;;
        --core) core=$2 ;;
        --roofline) roofline=$2 ;;
      esac
      shift 2 ;;
    *) echo "unknown argument: $1" >&2; usage >&2; exit 2 ;;
  esac
done

source "$top/tests/packages.sh"
ensure_packages
libtorch=OFF
[ -e /usr/include/torch/csrc/api/include/torch/torch.h ] && libtorch=ON

build="$top/build/bench"
mkdir -p "$top/build"
cmake -G Ninja -S "$top" -B "$build" -DCMAKE_BUILD_TYPE=Release -DSINTER_BUILD_TESTS=OFF -DSINTER_BUILD_SAMPLES=OFF \
  -DSINTER_BUILD_BENCH=ON -DSINTER_BENCH_LIBTORCH=$libtorch >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }
ninja -C "$build" sinter_bench >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }

export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# OpenBLAS falls back to SSE kernels on CPUs newer than itself; the peer gets its best kernels instead.
if [ -z "${OPENBLAS_CORETYPE:-}" ] && grep -qw avx512vl /proc/cpuinfo; then
  if [ "${SINTER_ISA:-}" = avx2 ]; then export OPENBLAS_CORETYPE=Haswell; else export OPENBLAS_CORETYPE=SkylakeX; fi
fi
[ -n "$core" ] || core=$(($(nproc --all) - 1))
pin=""
command -v taskset >/dev/null && taskset -c "$core" true 2>/dev/null && pin="taskset -c $core"

grep -m1 'model name' /proc/cpuinfo | sed 's/.*: /cpu: /'
echo "load before: $(cut -d' ' -f1 /proc/loadavg); one core${pin:+, pinned to $core}; $repetitions repetitions"
arguments=(--benchmark_filter="$filter" --benchmark_repetitions="$repetitions" --benchmark_min_time="$min_time"
  --benchmark_enable_random_interleaving=true)
[ -n "$json" ] && arguments+=(--benchmark_out="$json" --benchmark_out_format=json)
[ -n "$roofline" ] && arguments+=(--roofline="$roofline")
exec $pin "$build/bench/sinter_bench" "${arguments[@]}"
