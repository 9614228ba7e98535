// 1 / sqrt in float32.
#pragma once
#include "builder.h"

namespace sinter::math {

/// 1 / sqrt(x) within 1 ULP: y = 1 / sqrt(x), then one correction y * (1 + (1 - x y^2) / 2) with the residual exact.
/// At 0, infinity and NaN the correction is NaN and y stays.
template <class B, class V>
SINTER_MATH_INLINE V rsqrt_f32(B& b, V x) {
  auto one = b.f32(1.0f);
  auto y = b.div(one, b.sqrt(x));
  auto u = b.mul(x, y);
  auto minus_rounding = b.fnma(x, y, u);
  auto residual = b.fma(minus_rounding, y, b.fnma(u, y, one));
  auto corrected = b.fma(b.mul(y, b.f32(0.5f)), residual, y);
  return b.select(b.eq(corrected, corrected), corrected, y);
}

}  // namespace sinter::math
