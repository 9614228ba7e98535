// tanh in float32.
#pragma once
#include "exp.h"

namespace sinter::math {

/// e / (e + 2) with e = expm1(2 |x|), sign put back: odd bit for bit, at most 1. From 9.1 on the result rounds to 1.
template <class B, class V>
SINTER_MATH_INLINE V tanh_f32(B& b, V x) {
  constexpr float kMagic = kRoundMagic + 127.0f;  // the low bits of the sum are n + 127: 2^n is one shift away
  auto a = b.min_x86(b.f32(9.5f), b.abs(x));
  auto t = b.fma(a, b.f32(2 * kLog2e), b.f32(kMagic));
  auto n = b.sub(t, b.f32(kMagic));
  auto power = b.as_f32(b.i32_shl(b.as_i32(t), 23));
  auto r = b.fnma(n, b.f32(kLn2Low / 2), b.fnma(n, b.f32(kLn2High / 2), a));
  // expm1(2 r), |r| <= ln2 / 4: 2 r + r^2 q(r) (Sollya fpminimax, error 2^-26)
  auto q = b.fma(r, b.f32(0x1.6b7792p-4f), b.f32(0x1.12293ap-2f));
  q = b.fma(q, r, b.f32(0x1.555714p-1f));
  q = b.fma(q, r, b.f32(0x1.5554aep0f));
  q = b.fma(q, r, b.f32(0x1.fffffep0f));
  auto p = b.fma(b.mul(r, r), q, b.add(r, r));
  auto e = b.fma(p, power, b.sub(power, b.f32(1.0f)));
  auto y = b.div(e, b.add(e, b.f32(2.0f)));
  return b.bit_or(y, sign_of(b, x));
}

}  // namespace sinter::math
