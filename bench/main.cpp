// The benchmark program: Google Benchmark's flags, and one table at the end. --roofline=FILE also draws the rows as an SVG.
#include <benchmark/benchmark.h>
#include <cstdio>
#include <cstring>
#include "suites.h"
#include "table.h"

namespace {
/// Takes `--roofline=FILE` out of the arguments.
std::string take_roofline(int& argc, char** argv) {
  constexpr const char* kFlag = "--roofline=";
  std::string file;
  int kept = 0;
  for (int i = 0; i < argc; ++i) {
    if (std::strncmp(argv[i], kFlag, std::strlen(kFlag)) == 0) file = argv[i] + std::strlen(kFlag);
    else argv[kept++] = argv[i];
  }
  argc = kept;
  return file;
}
}  // namespace

int main(int argc, char** argv) {
  const std::string roofline = take_roofline(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  bench::register_ladder();
  bench::register_costs();
  bench::register_peaks();
  bench::register_openblas();
  bench::register_two_threads();
#ifdef SINTER_BENCH_LIBTORCH
  bench::register_libtorch();
#endif
  bench::TableReporter table;
  const size_t matched = benchmark::RunSpecifiedBenchmarks(&table);
  benchmark::Shutdown();
  if (!roofline.empty() && !bench::write_roofline(roofline, table.points())) {
    std::fprintf(stderr, "cannot draw the roofline to %s\n", roofline.c_str());
    return 1;
  }
  return matched == 0;
}
