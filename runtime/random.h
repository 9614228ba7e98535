// Philox 4x32-10: counter-based random numbers, the same eager and compiled.
#pragma once
#include <cstdint>

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

}  // namespace sinter
