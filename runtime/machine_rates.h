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

}  // namespace sinter::machine
