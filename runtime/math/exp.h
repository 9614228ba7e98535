// exp and sigmoid in float32.
#pragma once
#include "scalef.h"

namespace sinter::math {

// x = n * ln2 + r with |r| <= ln2 / 2; adding kRoundMagic (1.5 * 2^23) rounds to the nearest integer, ties to even.
inline constexpr float kRoundMagic = 0x1.8p23f;
inline constexpr float kLog2e = 0x1.715476p0f;
inline constexpr float kLn2High = 0x1.62e43p-1f, kLn2Low = -0x1.05c61p-29f;
inline constexpr int32_t kSignBit = INT32_MIN;

/// x with its sign bit set / the sign bit of x alone.
template <class B, class V>
SINTER_MATH_INLINE V negative_abs(B& b, V x) {
  return b.bit_or(x, b.f32(-0.0f));
}
template <class B, class V>
SINTER_MATH_INLINE V sign_of(B& b, V x) {
  return b.bit_and(x, b.f32(-0.0f));
}

/// e^x = p * 2^n, p in [0.7, 1.42].
template <class V>
struct ExpParts {
  V p, n;
};

/// For x in [-125, 90] or NaN: within 0.9 ULP. Polynomial (Sollya fpminimax, error 2^-28): 1 + r + r^2 q(r).
template <class B, class V>
SINTER_MATH_INLINE ExpParts<V> exp_parts(B& b, V x) {
  auto n = b.sub(b.fma(x, b.f32(kLog2e), b.f32(kRoundMagic)), b.f32(kRoundMagic));
  auto r = b.fnma(n, b.f32(kLn2Low), b.fnma(n, b.f32(kLn2High), x));
  auto p = b.fma(r, b.f32(0x1.695414p-10f), b.f32(0x1.123b04p-7f));
  p = b.fma(p, r, b.f32(0x1.555a22p-5f));
  p = b.fma(p, r, b.f32(0x1.55549p-3f));
  p = b.fma(p, r, b.f32(0x1.fffffap-2f));
  auto one = b.f32(1.0f);
  p = b.fma(b.fma(p, r, one), r, one);
  return {p, n};
}

/// e^x for x in [-125, 90] or NaN.
template <class B, class V>
SINTER_MATH_INLINE V exp_in_range(B& b, V x) {
  auto parts = exp_parts(b, x);
  return b.scalef(parts.p, parts.n);
}

/// e^x, all inputs; subnormal results are rounded once.
template <class B, class V>
SINTER_MATH_INLINE V exp_f32(B& b, V x) {
  return exp_in_range(b, b.min_x86(b.f32(89.5f), b.max_x86(b.f32(-104.5f), x)));
}

/// 1 / (1 + e^-x), by e^-|x| so that the negative tail keeps its relative accuracy (subnormal results included).
template <class B, class V>
SINTER_MATH_INLINE V sigmoid_f32(B& b, V x) {
  auto e = exp_in_range(b, b.max_x86(b.f32(-104.5f), negative_abs(b, x)));
  auto one = b.f32(1.0f);
  return b.div(b.select(b.lt(x, b.f32(0.0f)), e, one), b.add(one, e));
}

/// x / (1 + e^-x) = x e^x / (1 + e^x) for negative x: x times the power's mantissa first, so that tails are rounded once where
/// they are subnormal. silu(-inf) = -0, the limit.
template <class B, class V>
SINTER_MATH_INLINE V silu_f32(B& b, V x) {
  auto below = b.max_x86(b.f32(-112.0f), negative_abs(b, x));  // x itself where it is negative; smaller ones give -0
  auto parts = exp_parts(b, below);
  auto one = b.f32(1.0f);
  auto tail = b.scalef(b.mul(below, parts.p), parts.n);
  return b.div(b.select(b.lt(x, b.f32(0.0f)), tail, x), b.add(one, b.scalef(parts.p, parts.n)));
}

}  // namespace sinter::math
