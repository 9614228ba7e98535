// Philox 4x32-10: counter-based random numbers, the same eager and compiled.
#pragma once
#include <cstdint>
#include "dtype.h"
#include "ops/ops.h"

namespace sinter {

/// The process-wide generator. Random operators reserve a range of its counter when they are called, so that the
/// numbers do not depend on when (or whether together) they are computed.
class Generator {
 public:
  static Generator& get_default();
  void set_seed(uint64_t seed);  // also resets the counter to 0
  uint64_t seed() const;
  uint64_t counter() const;
  /// Returns the first counter of a block of `n` draws and moves past it. Thread-safe.
  uint64_t reserve(uint64_t n);
  void set_state(uint64_t seed, uint64_t counter);
};

/// Seeds the default generator; as torch::manual_seed.
void manual_seed(uint64_t seed);

/// Four 32-bit words of stream `seed` at `counter` (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
void philox4x32(uint64_t seed, uint64_t counter, uint32_t out[4]);

/// Counters that a random operator making n elements of `dtype` uses. It takes 32-bit words in order, four per counter,
/// each call from a fresh counter. Words per element and its value (u = word as an integer, (hi, lo) = two words):
///   rand       float 1: (u >> 8) / 2^24         double 2: ((hi:lo) >> 11) / 2^53
///   randn      1: elements 2j and 2j + 1 share words u, v (Box and Muller, 1958): r cos a and r sin a
///              float: r = sqrt(-2 ln(1 - (u >> 8) / 2^24)), a = 2 pi (v >> 8) / 2^24, in float32 by the operators' own
///              log, cos and sin; double: r = sqrt(-2 ln((u + 1) / 2^32)), a = 2 pi v / 2^32, by the C library
///   randint    2: low + (hi:lo) % (high - low)
///   bernoulli  1: u / 2^32 < p
uint64_t random_counters(Op op, ScalarType dtype, int64_t n);

}  // namespace sinter
