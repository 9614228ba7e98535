// tanh in float32.
#pragma once
#include "exp.h"

namespace sinter::math {

/// Below 0.55 x + x^3 p(x^2) (Sollya fpminimax, error 2^-29.7), above 1 - 2 / (e^2|x| + 1); sign put back: odd bit for bit,
/// at most 1. From 9.1 on the result rounds to 1.
template <class B, class V>
SINTER_MATH_INLINE V tanh_f32(B& b, V x) {
  auto one = b.f32(1.0f);
  auto a = b.min_x86(b.f32(9.5f), b.abs(x));
  auto square = b.mul(a, a);
  auto p = b.fma(square, b.f32(-0x1.9a79bap-8f), b.f32(0x1.5918a4p-6f));
  p = b.fma(p, square, b.f32(-0x1.b92358p-5f));
  p = b.fma(p, square, b.f32(0x1.110dp-3f));
  p = b.fma(p, square, b.f32(-0x1.55554ap-2f));
  auto small = b.fma(b.mul(a, square), p, a);

  constexpr float kMagic = kRoundMagic + 127.0f;  // the low bits of the sum are n + 127: 2^n is one shift away
  auto t = b.fma(a, b.f32(2 * kLog2e), b.f32(kMagic));
  auto n = b.sub(t, b.f32(kMagic));
  auto r = b.fnma(n, b.f32(kLn2Low / 2), b.fnma(n, b.f32(kLn2High / 2), a));
  // e^(2 r): the coefficients of exp_in_range carry the factors 2^i
  auto e = b.fma(r, b.f32(0x1.695414p-4f), b.f32(0x1.123b04p-2f));
  e = b.fma(e, r, b.f32(0x1.555a22p-1f));
  e = b.fma(e, r, b.f32(0x1.55549p0f));
  e = b.fma(e, r, b.f32(0x1.fffffap0f));
  e = b.fma(e, r, b.f32(2.0f));
  e = b.fma(e, r, one);
  auto denominator = b.fma(e, b.as_f32(b.i32_shl(b.as_i32(t), 23)), one);
  auto large = b.sub(one, b.div(b.f32(2.0f), denominator));
  return b.bit_or(b.select(b.lt(a, b.f32(0.55f)), small, large), sign_of(b, x));
}

}  // namespace sinter::math
