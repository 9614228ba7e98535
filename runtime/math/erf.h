// erf, gelu (erf form) and gelu's derivative in float32.
#pragma once
#include "exp.h"

namespace sinter::math {

/// erf(x): below 1, x + x p(x^2) (error 2^-29); above, 1 - 2^-q(|x|) with q = -log2(erfc) (error 2^-26). Sollya fpminimax.
template <class B, class V>
SINTER_MATH_INLINE V erf_f32(B& b, V x) {
  auto one = b.f32(1.0f);
  auto a = b.abs(x);
  auto square = b.mul(x, x);
  auto p = b.fma(square, b.f32(0x1.4c5cb4p-14f), b.f32(-0x1.a5197ap-11f));
  p = b.fma(p, square, b.f32(0x1.542fecp-8f));
  p = b.fma(p, square, b.f32(-0x1.b7fec4p-6f));
  p = b.fma(p, square, b.f32(0x1.ce2d52p-4f));
  p = b.fma(p, square, b.f32(-0x1.81274p-2f));
  p = b.fma(p, square, b.f32(0x1.06eba8p-3f));
  auto small = b.fma(p, x, x);

  auto c = b.min_x86(b.f32(3.93f), a);  // erf(3.93) rounds to 1
  auto q = b.fma(c, b.f32(-0x1.3b6a72p-19f), b.f32(0x1.15819p-14f));
  q = b.fma(q, c, b.f32(-0x1.c1ee2ep-11f));
  q = b.fma(q, c, b.f32(0x1.c1020ap-8f));
  q = b.fma(q, c, b.f32(-0x1.37dacep-5f));
  q = b.fma(q, c, b.f32(0x1.450c1cp-3f));
  q = b.fma(q, c, b.f32(0x1.d2c368p-1f));
  q = b.fma(q, c, b.f32(0x1.a169p0f));
  q = b.fma(q, c, b.f32(-0x1.cf87cep-12f));
  // 2^-q = 2^n * 2^-g with g = q + n in [-1/2, 1/2]
  constexpr float kMagic = kRoundMagic + 127.0f;
  auto t = b.sub(b.f32(kMagic), q);
  auto g = b.add(q, b.sub(t, b.f32(kMagic)));
  auto e = b.fma(g, b.f32(0x1.3fa206p-13f), b.f32(-0x1.5f0b82p-10f));
  e = b.fma(e, g, b.f32(0x1.3b30ap-7f));
  e = b.fma(e, g, b.f32(-0x1.c6af76p-5f));
  e = b.fma(e, g, b.f32(0x1.ebfbd8p-3f));
  e = b.fma(e, g, b.f32(-0x1.62e43p-1f));
  e = b.fma(e, g, one);
  auto large = b.fnma(e, b.as_f32(b.i32_shl(b.as_i32(t), 23)), one);
  return b.select(b.lt(a, one), small, b.bit_or(large, sign_of(b, x)));
}

// Phi(-a) = e^(-a^2/2) * M(a), M(a) = erfcx(a / sqrt 2) / 2: the tail's exponential apart, what is left is smooth.
inline constexpr float kTailEnd = 14.8f;  // x * Phi(x) rounds to 0 below -14.8
inline constexpr float kInvSqrt2Pi = 0x1.988454p-2f;

/// e^(-a^2/2) for 0 <= a <= kTailEnd: the rounding error of a^2 goes into the reduced argument.
template <class B, class V>
SINTER_MATH_INLINE V exp_minus_half_square(B& b, V a) {
  auto square = b.mul(a, a);
  auto minus_error = b.fnma(a, a, square);
  auto n = b.sub(b.fma(square, b.f32(-0.5f * kLog2e), b.f32(kRoundMagic)), b.f32(kRoundMagic));
  // -2 r = a^2 + 2 n ln2; the coefficients of exp_in_range carry the factors (-1/2)^i
  auto s = b.fma(n, b.f32(2 * kLn2Low), b.fma(n, b.f32(2 * kLn2High), square));
  s = b.sub(s, minus_error);
  auto p = b.fma(s, b.f32(0x1.695414p-16f), b.f32(-0x1.123b04p-12f));
  p = b.fma(p, s, b.f32(0x1.555a22p-9f));
  p = b.fma(p, s, b.f32(-0x1.55549p-6f));
  p = b.fma(p, s, b.f32(0x1.fffffap-4f));
  p = b.fma(p, s, b.f32(-0.5f));
  p = b.fma(p, s, b.f32(1.0f));
  return b.scalef(p, n);
}

/// M(a) = t p(t), t = 1 / (1 + a / 3) (Sollya fpminimax on [0, kTailEnd], relative error 2^-24.1).
template <class B, class V>
SINTER_MATH_INLINE V normal_tail_ratio(B& b, V a) {
  auto one = b.f32(1.0f);
  auto t = b.div(one, b.fma(a, b.f32(0x1.555556p-2f), one));
  auto p = b.fma(t, b.f32(-0x1.6c702ap-6f), b.f32(0x1.0461bep-3f));
  p = b.fma(p, t, b.f32(-0x1.10c51ap-2f));
  p = b.fma(p, t, b.f32(0x1.b56174p-3f));
  p = b.fma(p, t, b.f32(-0x1.98109p-5f));
  p = b.fma(p, t, b.f32(0x1.e547b2p-4f));
  p = b.fma(p, t, b.f32(0x1.cde2dp-4f));
  p = b.fma(p, t, b.f32(0x1.1177fcp-3f));
  p = b.fma(p, t, b.f32(0x1.104bf2p-3f));
  return b.mul(p, t);
}

/// x * Phi(x) = max(x, 0) - |x| Phi(-|x|): relative accuracy in both tails. gelu(-inf) = 0, the limit.
template <class B, class V>
SINTER_MATH_INLINE V gelu_f32(B& b, V x) {
  auto a = b.min_x86(b.f32(kTailEnd), b.abs(x));
  auto weight = b.mul(a, normal_tail_ratio(b, a));
  return b.fnma(weight, exp_minus_half_square(b, a), b.max_x86(b.f32(0.0f), x));
}

/// d/dx x * Phi(x) = Phi(x) + x phi(x); w = Phi(-a) - a phi(a) is its value at -a, 1 - w that at a.
template <class B, class V>
SINTER_MATH_INLINE V gelu_grad_f32(B& b, V x) {
  auto a = b.min_x86(b.f32(kTailEnd), b.abs(x));
  auto ratio = b.fnma(a, b.f32(kInvSqrt2Pi), normal_tail_ratio(b, a));
  auto w = b.mul(ratio, exp_minus_half_square(b, a));
  return b.select(b.lt(x, b.f32(0.0f)), w, b.sub(b.f32(1.0f), w));
}

}  // namespace sinter::math
