// SINTER_VERIFY=n: every n-th region is also interpreted with eager kernels on copies of its inputs, and compared.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>
#include "../program/program.h"
#include "root_bits.h"

namespace sinter {

class CompiledState;
class Context;
struct Leaf;
struct ProgramEntry;

/// Regions from one verified to the next; 0: none is, -1: SINTER_VERIFY was not looked at yet.
inline constinit std::atomic<int64_t> verify_interval{-1};

/// A region whose inputs and results are larger together is not verified, nor is a larger input's checksum taken: the system may
/// promise memory that it does not have.
inline constexpr int64_t kMostVerifiedBytes = int64_t{1} << 30;

/// Checksums of a region's inputs as they were when they were bound. Exists for regions that are verified.
class InputSums {
 public:
  /// `slot` of the region now holds input `t`.
  void add(const TensorImpl& t, int32_t slot);
  /// Warns, once per input, of inputs whose bytes are others now: written through a raw pointer since.
  void check(const CompiledState& owner, const Leaf& leaf, TensorImpl* const* slots) const;

 private:
  std::vector<std::pair<int32_t, uint64_t>> sums_;  // slot, checksum
};

/// The next region's: null when it is not to be verified. `closed`: a region has just been closed. In every n regions of the
/// process one is chosen, at a place that differs from n to n, so that calls of a fixed number of regions have all verified.
std::unique_ptr<InputSums> choose_next_region(bool closed);

/// A program about to run for a closed region.
struct VerifiedRun {
  Context& context;
  const Leaf& leaf;
  const ProgramEntry& entry;
  const Program& program;
  TensorImpl* const* slots;
  const Scalar* scalars;
  const std::vector<int64_t>& free_ints;
  const RootBits& live;
  Program::Launch launch;
};

/// Runs the program, then the eager kernels on copies, and compares live results and inputs: to the bit (any NaN
/// equals any other), but within 64 units in the last place of the largest element where matrix products came before. A
/// difference is reported with a reproducer, the program is withdrawn, and the eager values take the place of its own.
/// Without memory for the copies (kMostVerifiedBytes) the region is not verified. @throws what the program or, unlike it, an
/// eager kernel throws.
void run_verified(const VerifiedRun& run);

}  // namespace sinter
