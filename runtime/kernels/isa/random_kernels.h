// Random kernels of one ISA level, as called by random.cpp. Definitions: runtime/random.h.
#pragma once
#include <cstdint>

namespace sinter {

struct RandomKernels {
  /// The words of counters [counter, counter + count), four each.
  void (*words)(uint64_t seed, uint64_t counter, int64_t count, uint32_t* out);
  /// float32 from words: n uniform values; n normal ones (n even).
  void (*uniform)(const uint32_t* words, int64_t n, float* out);
  void (*normal)(const uint32_t* words, int64_t n, float* out);
};

#define SINTER_RANDOM_LEVEL(level)    \
  namespace level {                   \
  extern const RandomKernels kRandom; \
  }
SINTER_RANDOM_LEVEL(v2)
SINTER_RANDOM_LEVEL(v3)
SINTER_RANDOM_LEVEL(v4)
#undef SINTER_RANDOM_LEVEL

}  // namespace sinter
