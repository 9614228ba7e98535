// log and log1p in float32.
#pragma once
#include <limits>
#include "exp.h"

namespace sinter::math {

/// k * ln2 + log(1 + f), f in [sqrt(1/2) - 1, sqrt(2) - 1]: f - f^2/2 + f^3 q(f) (Sollya fpminimax, error 2^-26.9).
template <class B, class V>
SINTER_MATH_INLINE V log_core(B& b, V f, V k) {
  auto q = b.fma(f, b.f32(-0x1.2861e8p-4f), b.f32(0x1.00c666p-3f));
  q = b.fma(q, f, b.f32(-0x1.0ebe6cp-3f));
  q = b.fma(q, f, b.f32(0x1.23b8dcp-3f));
  q = b.fma(q, f, b.f32(-0x1.546556p-3f));
  q = b.fma(q, f, b.f32(0x1.99929ep-3f));
  q = b.fma(q, f, b.f32(-0x1.000236p-2f));
  q = b.fma(q, f, b.f32(0x1.555574p-2f));
  q = b.fma(q, f, b.f32(-0.5f));
  auto low = b.fma(b.mul(f, f), q, b.mul(k, b.f32(kLn2Low)));
  return b.fma(k, b.f32(kLn2High), b.add(f, low));
}

// Bits of the float next to sqrt(1/2), subtracted so that the mantissa lands in [sqrt(1/2), sqrt(2)).
inline constexpr int32_t kSqrtHalfBits = 0x3F3504F3;
inline constexpr int32_t kExponentMask = static_cast<int32_t>(0xFF800000u);

/// log(0) = -inf, log(x < 0) = NaN; subnormal inputs are scaled up first.
template <class B, class V>
SINTER_MATH_INLINE V log_f32(B& b, V x) {
  auto zero = b.f32(0.0f);
  auto infinity = b.f32(std::numeric_limits<float>::infinity());
  auto tiny = b.lt(x, b.f32(std::numeric_limits<float>::min()));
  auto scaled = b.select(tiny, b.mul(x, b.f32(0x1p23f)), x);
  auto bits = b.as_i32(scaled);
  auto above = b.i32_sub(bits, b.i32(kSqrtHalfBits));
  auto mantissa = b.as_f32(b.i32_sub(bits, b.i32_and(above, b.i32(kExponentMask))));
  auto k = b.sub(b.to_f32(b.i32_sar(above, 23)), b.select(tiny, b.f32(23.0f), zero));
  auto y = log_core(b, b.sub(mantissa, b.f32(1.0f)), k);
  y = b.select(b.ge(x, zero), y, b.f32(std::numeric_limits<float>::quiet_NaN()));
  y = b.select(b.eq(x, zero), b.f32(-std::numeric_limits<float>::infinity()), y);
  return b.select(b.eq(x, infinity), infinity, y);
}

/// log(1 + x): the rounding error of u = 1 + x is carried into the mantissa.
template <class B, class V>
SINTER_MATH_INLINE V log1p_f32(B& b, V x) {
  auto zero = b.f32(0.0f), one = b.f32(1.0f);
  auto infinity = b.f32(std::numeric_limits<float>::infinity());
  auto u = b.add(x, one);
  auto head = b.sub(u, one);
  auto error = b.add(b.sub(x, head), b.sub(one, b.sub(u, head)));
  auto bits = b.as_i32(u);
  auto above = b.i32_sub(bits, b.i32(kSqrtHalfBits));
  auto exponent = b.i32_and(above, b.i32(kExponentMask));
  auto scale = b.as_f32(b.i32_sub(b.i32(0x3F800000), exponent));
  // From 2^24 on the error does not count, and the scale would leave the range of exponents.
  auto carried = b.select(b.lt(u, b.f32(0x1p24f)), b.mul(error, scale), zero);
  auto f = b.add(b.sub(b.as_f32(b.i32_sub(bits, exponent)), one), carried);
  auto y = log_core(b, f, b.to_f32(b.i32_sar(above, 23)));
  y = b.select(b.ge(u, zero), y, b.f32(std::numeric_limits<float>::quiet_NaN()));
  y = b.select(b.eq(u, zero), b.f32(-std::numeric_limits<float>::infinity()), y);
  y = b.select(b.eq(x, infinity), infinity, y);
  return b.select(b.eq(x, zero), x, y);  // keeps -0
}

}  // namespace sinter::math
