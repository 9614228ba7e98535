// The benchmark program: Google Benchmark's flags, and one table at the end.
#include <benchmark/benchmark.h>
#include "suites.h"
#include "table.h"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  bench::register_ladder();
  bench::register_costs();
  bench::register_peaks();
  bench::register_openblas();
#ifdef SINTER_BENCH_LIBTORCH
  bench::register_libtorch();
#endif
  bench::TableReporter table;
  const size_t matched = benchmark::RunSpecifiedBenchmarks(&table);
  benchmark::Shutdown();
  return matched == 0;
}
