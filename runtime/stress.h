// Switches of the differential tests: other ways to do the same work, which must give the same answer. Process-wide; to be set
// while no compiled function runs. Not for users.
#pragma once
#include <cstdint>

namespace sinter {

struct Stress {
  bool fuse = true;          // false: a kernel for each operator, every value stored
  uint32_t skip_passes = 0;  // bit i: entry i of the list in engine/passes/pipeline.cpp is left out
  uint64_t kernel_seed = 0;  // not 0: lanes, unrolling, registers and recomputation in generated code are drawn from it
  uint64_t close_seed = 0;   // not 0: regions close after operators drawn from it
  friend bool operator==(const Stress&, const Stress&) = default;
};

const Stress& stress();
/// What was recorded under other switches must be forgotten by the caller (sinter::reset()); programs and kernels carry the
/// switches in their keys.
void set_stress(const Stress& switches);
/// A number drawn from `seed` for `what`: the same each time.
uint64_t stress_draw(uint64_t seed, uint64_t what);

}  // namespace sinter
