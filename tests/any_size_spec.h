// A kernel's spec with some of its extents and strides made arguments.
#pragma once
#include <random>
#include "codegen/loop/loop_spec.h"

namespace sinter::codegen::reference {

/// `all`: everything that can be one. Else each extent and stride with even chance, at least one extent.
inline LoopSpec any_sized(const LoopSpec& spec, bool all, uint64_t seed) {
  std::mt19937_64 rng(seed);
  LoopSpec any = spec;
  any.split = -1;
  const size_t rank = spec.sizes.size(), sure = rng() % rank;
  for (size_t d = 0; d < rank; ++d)
    if (all || d == sure || rng() % 2) any.sizes[d] = kAnySize;
  for (LoopOperand& o : any.operands)
    for (size_t d = 0; d < rank; ++d)
      if (o.strides[d] != 0 && (d + 1 < rank || o.strides[d] != 1) && (all || rng() % 2)) o.strides[d] = kAnyStride;
  return any;
}

}  // namespace sinter::codegen::reference
