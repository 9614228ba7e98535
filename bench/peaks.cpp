// What the machine itself can do, measured in the same run as the rows: the limits that they are held against.
#include <sys/mman.h>
#include <cstdlib>
#include <memory>
#include <string>
#include "cold.h"
#include "runtime/machine_rates.h"
#include "suites.h"

namespace bench {
namespace {
using namespace sinter;

constexpr int64_t kBeyondCaches = int64_t{256} << 20;

struct Free {
  void operator()(char* p) const { std::free(p); }
};
using Memory = std::unique_ptr<char[], Free>;

/// Bytes that have been written, on huge pages where the system has them, as the blocks of sinter's allocator are.
Memory touched(int64_t bytes) {
  constexpr size_t kHuge = size_t{2} << 20;
  const size_t rounded = (static_cast<size_t>(bytes) + kHuge - 1) / kHuge * kHuge;
  Memory memory(static_cast<char*>(std::aligned_alloc(kHuge, rounded)));
  madvise(memory.get(), rounded, MADV_HUGEPAGE);
  for (int64_t i = 0; i < bytes; i += 64) memory[i] = static_cast<char>(i);
  return memory;
}

void fma(benchmark::State& state, Isa isa, ScalarType dtype) {
  double flops = 0;
  for (auto _ : state) flops = machine::run_fma(isa, dtype, 1000);
  state.counters["flops"] = flops;
}

void read(benchmark::State& state, int64_t bytes) {
  const Memory memory = touched(bytes);
  for (auto _ : state) machine::read_memory(memory.get(), bytes);
  state.counters["bytes"] = static_cast<double>(bytes);
}

/// Counts the bytes read and those written.
void copy(benchmark::State& state, int64_t bytes) {
  const Memory from = touched(bytes), to = touched(bytes);
  for (auto _ : state) machine::copy_streaming(to.get(), from.get(), bytes);
  state.counters["bytes"] = 2.0 * static_cast<double>(bytes);
}

}  // namespace

void register_peaks() {
  if (detected_isa() == Isa::None) return;
  for (const Isa isa : {Isa::Avx2, Isa::Avx512})
    for (const ScalarType dtype : {kFloat, kDouble}) {
      if (isa > detected_isa()) continue;
      const std::string name = std::string("peak_fma/") + isa_name(isa) + "_" + dtype_short_name(dtype);
      benchmark::RegisterBenchmark(name.c_str(), fma, isa, dtype);
    }
  benchmark::RegisterBenchmark("memory/read_256mib", read, kBeyondCaches);
  benchmark::RegisterBenchmark("memory/copy_nt_64mib", copy, int64_t{64} << 20);  // what a row of 4096 x 4096 floats moves
  benchmark::RegisterBenchmark("gemv_784x512/read", read, int64_t{784} * 512 * 4)->Unit(benchmark::kMicrosecond);
}

}  // namespace bench
