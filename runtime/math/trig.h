// sin and cos in float32.
#pragma once
#include "exp.h"
#include "scalar_functions.h"

namespace sinter::math {

// pi = kPi1 + kPi2 + kPi3 to 75 bits, each part rounded down, so that a zero n leaves the sign of a zero argument.
inline constexpr float kPi1 = 0x1.921fb4p1f, kPi2 = 0x1.4442dp-23f, kPi3 = 0x1.846988p-47f;
inline constexpr float kInvPi = 0x1.45f306p-2f;
/// Largest argument of the polynomial; beyond it the C library's float64 function takes over, lane by lane.
inline constexpr float kTrigLimit = 262144.0f;

/// sin(x - n * pi) for |x| <= kTrigLimit and |x - n pi| <= pi/2 + 0.05: reduced to high + low, the low part weighs into the
/// polynomial r + r^3 q(r^2) (Sollya fpminimax, error 2^-27.3) with cos(r) ~ 1 - (2 r / pi)^2, which is enough for it.
template <class B, class V>
SINTER_MATH_INLINE V sin_reduced(B& b, V x, V n) {
  auto exact = b.fnma(n, b.f32(kPi1), x);
  auto high = b.fnma(n, b.f32(kPi2), exact);
  auto minus_low = b.fma(n, b.f32(kPi3), b.fma(n, b.f32(kPi2), b.sub(high, exact)));
  auto square = b.mul(high, high);
  auto q = b.fma(square, b.f32(0x1.5dc904p-19f), b.f32(-0x1.9f70fp-13f));
  q = b.fma(q, square, b.f32(0x1.110edap-7f));
  q = b.fma(q, square, b.f32(-0x1.55554cp-3f));
  auto tail = b.fma(minus_low, b.f32(0x1.9f02f6p-2f), b.mul(high, q));
  return b.sub(high, b.fnma(square, tail, minus_low));  // this form keeps -0
}

/// All finite inputs; odd bit for bit.
template <class B, class V>
SINTER_MATH_INLINE V sin_f32(B& b, V x) {
  auto t = b.fma(x, b.f32(kInvPi), b.f32(kRoundMagic));
  auto r = sin_reduced(b, x, b.sub(t, b.f32(kRoundMagic)));
  auto y = b.as_f32(b.i32_xor(b.as_i32(r), b.i32_shl(b.as_i32(t), 31)));  // odd n: the other sign
  return b.slow_lanes(b.gt(b.abs(x), b.f32(kTrigLimit)), y, x, &scalar_functions::sin_f32);
}

/// cos(x) = sin(x + pi/2): n is the half-integer next to |x| / pi. Even bit for bit.
template <class B, class V>
SINTER_MATH_INLINE V cos_f32(B& b, V x) {
  auto a = b.abs(x);
  auto t = b.add(b.fma(a, b.f32(kInvPi), b.f32(-0.5f)), b.f32(kRoundMagic + 1.0f));  // odd magic: sin(r) counts negative
  auto n = b.add(b.sub(t, b.f32(kRoundMagic + 1.0f)), b.f32(0.5f));
  auto r = sin_reduced(b, a, n);
  auto y = b.as_f32(b.i32_xor(b.as_i32(r), b.i32_shl(b.as_i32(t), 31)));
  return b.slow_lanes(b.gt(a, b.f32(kTrigLimit)), y, x, &scalar_functions::cos_f32);
}

}  // namespace sinter::math
