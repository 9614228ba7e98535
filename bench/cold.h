// Timing of single calls, for what a loop of calls would hide: cold caches and first calls.
#pragma once
#include <benchmark/benchmark.h>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace bench {

/// Seconds one call of `f` takes, by the steady clock (which itself costs some 20 to 40 ns).
template <class F>
double call_seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  auto out = f();
  benchmark::DoNotOptimize(out);
  const auto stop = std::chrono::steady_clock::now();
  return std::chrono::duration<double>(stop - start).count();
}

/// What the clock reads for doing nothing.
inline double clock_seconds() {
  static const double least = [] {
    double best = 1;
    for (int i = 0; i < 1000; ++i) best = std::min(best, call_seconds([] { return 0; }));
    return best;
  }();
  return least;
}

/// Writes 4 MiB, a byte per cache line: more than the first two levels of cache hold.
inline void touch_4mib() {
  static std::vector<char> memory(size_t{4} << 20);
  for (size_t i = 0; i < memory.size(); i += 64) ++memory[i];
  benchmark::ClobberMemory();
}

/// Seconds of one call of `f` just after other memory was touched, less the clock's own cost.
template <class F>
double cold_call_seconds(F&& f) {
  touch_4mib();
  return std::max(0.0, call_seconds(f) - clock_seconds());
}

}  // namespace bench
