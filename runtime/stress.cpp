#include "stress.h"

namespace sinter {

namespace {
constinit Stress switches_now;
}  // namespace

const Stress& stress() { return switches_now; }
void set_stress(const Stress& switches) { switches_now = switches; }

/// splitmix64
uint64_t stress_draw(uint64_t seed, uint64_t what) {
  uint64_t z = seed + (what + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

}  // namespace sinter
