// How fast this core multiplies and moves memory: loops that do nothing else, and what they were measured to reach.
#pragma once
#include <cstdint>
#include "cpu.h"
#include "dtype.h"

namespace sinter::machine {

/// Runs `rounds` of 96 independent fused multiply-adds on registers, of the widest vectors of `isa` (Avx2 or Avx512; the CPU must
/// have it), of kFloat or kDouble. Returns how many floating-point operations that were: two a lane.
double run_fma(Isa isa, ScalarType dtype, int64_t rounds);

/// Reads `bytes` (a multiple of 256) once, in order. Needs AVX2.
void read_memory(const void* from, int64_t bytes);

/// Copies `bytes` (a multiple of 128) with non-temporal stores; `to` is aligned to 32 bytes. Needs AVX2.
void copy_streaming(void* to, const void* from, int64_t bytes);

/// What was measured on this machine, once for each instruction set in use, in some 30 ms. 0: not known (no AVX2, no memory).
struct Rates {
  double flops_f32 = 0, flops_f64 = 0;  // floating-point operations a second, two for each fused multiply-add
  /// A level of the memory: up to how many bytes it holds, and how many a second can be read from it (or copied: both ways
  /// counted). The last one holds everything.
  struct Level {
    double capacity = 0, rate = 0;
  };
  Level levels[4];  // three of cache, memory
  /// The rate of the first level that holds so many bytes.
  double bytes_per_second(double bytes) const;
};
const Rates& measured_rates(Isa isa);

}  // namespace sinter::machine
