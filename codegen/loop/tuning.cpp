#include "tuning.h"
#include "../../runtime/stress.h"

namespace sinter::codegen {

namespace {

constexpr int kFewestVectors = 8;  // what the widest instruction and the end of a reduction need
constexpr int kFewestMasks = 3;    // two operands that live on, and the result

/// The same spec gets the same choices, so that a kernel can be made again.
uint64_t spec_seed(const LoopSpec& spec) {
  uint64_t h = stress_draw(stress().kernel_seed, spec.nodes.size() * 64 + spec.operands.size());
  for (int64_t s : spec.sizes) h = stress_draw(h, static_cast<uint64_t>(s));
  return h;
}

}  // namespace

Tuning tuning_of(const LoopSpec& spec, Isa isa) {
  Tuning t;
  t.vectors = isa == Isa::Avx512 ? 32 : 16;
  if (stress().kernel_seed == 0) return t;
  const uint64_t seed = spec_seed(spec);
  const auto pick = [&](uint64_t what, int n) { return static_cast<int>(stress_draw(seed, what) % static_cast<uint64_t>(n)); };
  if (pick(0, 4)) t.vectors = kFewestVectors + pick(1, 4);
  if (pick(2, 4)) t.masks = kFewestMasks + pick(3, 3);
  t.pointers = pick(4, 12);
  if (pick(5, 4)) t.unroll = 1 << pick(8, 4);
  t.recompute_limit = pick(6, 24);
  t.narrow = pick(7, 3) == 0;
  return t;
}

}  // namespace sinter::codegen
