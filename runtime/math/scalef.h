// p * 2^n for machines without vscalefps.
#pragma once
#include "builder.h"

namespace sinter::math {

/// The builder's scalef by integer arithmetic: p in [0.5, 4), n integral with |n| <= 252. The power is taken in two
/// halves: the first moves p's exponent exactly, the second is a multiplication that rounds once (subnormal results).
template <class B, class V>
SINTER_MATH_INLINE V scalef_by_bits(B& b, V p, V n) {
  auto exponent = b.i32_shl(b.to_i32(n), 23);
  auto half = b.i32_and(b.i32_sar(exponent, 1), b.i32(static_cast<int32_t>(0xFF800000u)));
  auto rest = b.i32_add(b.i32_sub(exponent, half), b.i32(0x3F800000));
  return b.mul(b.as_f32(b.i32_add(b.as_i32(p), half)), b.as_f32(rest));
}

}  // namespace sinter::math
