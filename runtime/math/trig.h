// sin and cos in float32.
#pragma once
#include "exp.h"
#include "scalar_functions.h"

namespace sinter::math {

// pi / 2 = kHalfPi1 - kHalfPi2 + kHalfPi3 to 2^-63; kHalfPi2 has so few bits that its multiples up to kTrigLimit are exact.
inline constexpr float kHalfPi1 = 0x1.921fb6p0f, kHalfPi2 = 0x1.778p-25f, kHalfPi3 = 0x1.68c234p-39f;
inline constexpr float kTwoOverPi = 0x1.45f306p-1f;
/// Largest argument of the polynomial; beyond it the C library's float64 function takes over, lane by lane.
inline constexpr float kTrigLimit = 2500.0f;

/// |x| = n * pi/2 + r, |r| <= pi/4 + 0.001. `quadrant`: n in its low bits.
template <class V, class I>
struct TrigParts {
  I quadrant;
  V sine, cosine;  // of r
};

/// For 0 <= a <= kTrigLimit. Sollya fpminimax, errors 2^-27.9 (sine) and 2^-33 (cosine).
template <class B, class V>
SINTER_MATH_INLINE auto trig_parts(B& b, V a) {
  auto t = b.fma(a, b.f32(kTwoOverPi), b.f32(kRoundMagic));
  auto n = b.sub(t, b.f32(kRoundMagic));
  auto head = b.fnma(n, b.f32(kHalfPi1), a);  // exact
  auto part = b.mul(n, b.f32(kHalfPi2));      // exact
  auto r = b.add(head, part);
  auto square = b.mul(r, r);
  auto p = b.fma(square, b.f32(-0x1.9952c6p-13f), b.f32(0x1.110776p-7f));
  p = b.fma(p, square, b.f32(-0x1.555546p-3f));
  // r + r^3 p without r: the small terms are summed first, so that one rounding counts and r's own does not.
  auto small = b.fma(b.mul(r, square), p, part);
  auto sine = b.fnma(n, b.f32(kHalfPi3), b.add(head, small));
  auto q = b.fma(square, b.f32(0x1.99e81p-16f), b.f32(-0x1.6c0c28p-10f));
  q = b.fma(q, square, b.f32(0x1.55554ap-5f));
  q = b.fma(q, square, b.f32(-0.5f));
  auto cosine = b.fma(q, square, b.f32(1.0f));
  auto quadrant = b.as_i32(t);
  return TrigParts<V, decltype(quadrant)>{quadrant, sine, cosine};
}

/// Mask of the odd quadrants, where sine and cosine of r change places.
template <class B, class I>
SINTER_MATH_INLINE auto odd_quadrant(B& b, I quadrant) {
  return b.i32_has(quadrant, b.i32(1));
}

/// All finite inputs; odd bit for bit.
template <class B, class V>
SINTER_MATH_INLINE V sin_f32(B& b, V x) {
  auto a = b.abs(x);
  auto parts = trig_parts(b, a);
  auto y = b.select(odd_quadrant(b, parts.quadrant), parts.cosine, parts.sine);
  y = b.bit_xor(y, sign_of(b, b.bit_xor(b.as_f32(b.i32_shl(parts.quadrant, 30)), x)));
  return b.slow_lanes(b.gt(a, b.f32(kTrigLimit)), y, x, &scalar_functions::sin_f32);
}

/// Even bit for bit.
template <class B, class V>
SINTER_MATH_INLINE V cos_f32(B& b, V x) {
  auto a = b.abs(x);
  auto parts = trig_parts(b, a);
  auto y = b.select(odd_quadrant(b, parts.quadrant), parts.sine, parts.cosine);
  y = b.bit_xor(y, sign_of(b, b.as_f32(b.i32_shl(b.i32_add(parts.quadrant, b.i32(1)), 30))));
  return b.slow_lanes(b.gt(a, b.f32(kTrigLimit)), y, x, &scalar_functions::cos_f32);
}

}  // namespace sinter::math
