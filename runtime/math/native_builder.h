// The builder over vector registers: what eager kernels are made of. Include only from files under an isa/ folder.
//
// Such a file is compiled once per instruction-set level (SINTER_LEVEL = v2, v3 or v4: 16, 32 or 64-byte vectors); all
// code lives in namespace sinter::SINTER_LEVEL, so nothing built for one level is ever linked in place of another's.
// For the same reason these files use no inline functions of the standard library that could become common symbols.
#pragma once
#define SINTER_MATH_INLINE inline __attribute__((always_inline))
#include "builder.h"

// GCC 12 takes the undefined pass-through operand of some AVX-512 intrinsics for an uninitialised variable.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#include <cstdint>

// Spelling of an intrinsic at this level: SINTER_MM(sqrt_ps) is _mm512_sqrt_ps, _mm256_sqrt_ps or _mm_sqrt_ps.
#if defined(SINTER_LEVEL_v4)
#define SINTER_MM(name) _mm512_##name
#elif defined(SINTER_LEVEL_v3)
#define SINTER_MM(name) _mm256_##name
#else
#define SINTER_MM(name) _mm_##name
#endif

namespace sinter::SINTER_LEVEL {

#if defined(SINTER_LEVEL_v4)
inline constexpr int kVectorBytes = 64;
#elif defined(SINTER_LEVEL_v3)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif
/// Lanes of 4 and of 8 bytes.
inline constexpr int kLanes32 = kVectorBytes / 4, kLanes64 = kVectorBytes / 8;

typedef float VecF32 __attribute__((vector_size(kVectorBytes)));
typedef double VecF64 __attribute__((vector_size(kVectorBytes)));
typedef int32_t VecI32 __attribute__((vector_size(kVectorBytes)));  // also the mask of VecF32: -1 or 0
typedef uint32_t VecU32 __attribute__((vector_size(kVectorBytes)));
typedef int64_t VecI64 __attribute__((vector_size(kVectorBytes)));  // int64 values; also the mask of 8-byte lanes
typedef uint64_t VecU64 __attribute__((vector_size(kVectorBytes)));
typedef uint8_t VecBool __attribute__((vector_size(kVectorBytes)));  // bytes 0 or 1

template <ScalarType T>
struct NativeType;
template <>
struct NativeType<ScalarType::Bool> {
  using Scalar = uint8_t;
  using Vec = VecBool;
  using Mask = VecBool;
};
template <>
struct NativeType<ScalarType::Long> {
  using Scalar = int64_t;
  using Vec = VecI64;
  using Mask = VecI64;
};
template <>
struct NativeType<ScalarType::Float> {
  using Scalar = float;
  using Vec = VecF32;
  using Mask = VecI32;
};
template <>
struct NativeType<ScalarType::Double> {
  using Scalar = double;
  using Vec = VecF64;
  using Mask = VecI64;
};
template <ScalarType T>
using Vec = typename NativeType<T>::Vec;
template <ScalarType T>
using Mask = typename NativeType<T>::Mask;
template <ScalarType T>
using Element = typename NativeType<T>::Scalar;
template <ScalarType T>
inline constexpr int kLanesOf = kVectorBytes / static_cast<int>(sizeof(Element<T>));

#define SINTER_NATIVE static SINTER_MATH_INLINE

/// See math/builder.h. Has no state; every function is static.
struct Native {
  // -- constants and splats
  template <ScalarType T>
  SINTER_NATIVE Vec<T> splat(Element<T> v) {
    if constexpr (T == ScalarType::Float) return SINTER_MM(set1_ps)(v);
    else if constexpr (T == ScalarType::Double) return SINTER_MM(set1_pd)(v);
    else return Vec<T>{} + v;  // not for floats: 0 + -0 is +0
  }
  template <ScalarType T>
  SINTER_NATIVE Vec<T> k(double v) {
    if constexpr (T == ScalarType::Long) return splat<T>(v >= -0x1p63 && v < 0x1p63 ? static_cast<int64_t>(v) : INT64_MIN);
    else return splat<T>(static_cast<Element<T>>(v));
  }
  SINTER_NATIVE VecF32 f32(float v) { return SINTER_MM(set1_ps)(v); }
  SINTER_NATIVE VecI32 i32(int32_t v) { return VecI32{} + v; }

  // -- arithmetic
  SINTER_NATIVE VecF32 add(VecF32 a, VecF32 b) { return a + b; }
  SINTER_NATIVE VecF32 sub(VecF32 a, VecF32 b) { return a - b; }
  SINTER_NATIVE VecF32 mul(VecF32 a, VecF32 b) { return a * b; }
  SINTER_NATIVE VecF32 div(VecF32 a, VecF32 b) { return a / b; }
  SINTER_NATIVE VecF64 add(VecF64 a, VecF64 b) { return a + b; }
  SINTER_NATIVE VecF64 sub(VecF64 a, VecF64 b) { return a - b; }
  SINTER_NATIVE VecF64 mul(VecF64 a, VecF64 b) { return a * b; }
  SINTER_NATIVE VecF64 div(VecF64 a, VecF64 b) { return a / b; }
  // Unsigned inside: overflow wraps.
  SINTER_NATIVE VecI64 add(VecI64 a, VecI64 b) { return (VecI64)((VecU64)a + (VecU64)b); }
  SINTER_NATIVE VecI64 sub(VecI64 a, VecI64 b) { return (VecI64)((VecU64)a - (VecU64)b); }
  SINTER_NATIVE VecI64 mul(VecI64 a, VecI64 b) { return (VecI64)((VecU64)a * (VecU64)b); }

  SINTER_NATIVE VecF32 neg(VecF32 a) { return (VecF32)((VecI32)a ^ INT32_MIN); }
  SINTER_NATIVE VecF64 neg(VecF64 a) { return (VecF64)((VecI64)a ^ INT64_MIN); }
  SINTER_NATIVE VecF32 abs(VecF32 a) { return (VecF32)((VecI32)a & INT32_MAX); }
  SINTER_NATIVE VecF64 abs(VecF64 a) { return (VecF64)((VecI64)a & INT64_MAX); }
  SINTER_NATIVE VecF32 sqrt(VecF32 a) { return SINTER_MM(sqrt_ps)(a); }
  SINTER_NATIVE VecF64 sqrt(VecF64 a) { return SINTER_MM(sqrt_pd)(a); }
  SINTER_NATIVE VecF32 min_x86(VecF32 a, VecF32 b) { return SINTER_MM(min_ps)(a, b); }
  SINTER_NATIVE VecF64 min_x86(VecF64 a, VecF64 b) { return SINTER_MM(min_pd)(a, b); }
  SINTER_NATIVE VecF32 max_x86(VecF32 a, VecF32 b) { return SINTER_MM(max_ps)(a, b); }
  SINTER_NATIVE VecF64 max_x86(VecF64 a, VecF64 b) { return SINTER_MM(max_pd)(a, b); }

#if defined(SINTER_LEVEL_v4)
  template <int Mode>
  SINTER_NATIVE VecF32 round(VecF32 a) {
    return _mm512_roundscale_ps(a, Mode | _MM_FROUND_NO_EXC);
  }
  template <int Mode>
  SINTER_NATIVE VecF64 round(VecF64 a) {
    return _mm512_roundscale_pd(a, Mode | _MM_FROUND_NO_EXC);
  }
#else
  template <int Mode>
  SINTER_NATIVE VecF32 round(VecF32 a) {
    return SINTER_MM(round_ps)(a, Mode | _MM_FROUND_NO_EXC);
  }
  template <int Mode>
  SINTER_NATIVE VecF64 round(VecF64 a) {
    return SINTER_MM(round_pd)(a, Mode | _MM_FROUND_NO_EXC);
  }
#endif
  template <class V>
  SINTER_NATIVE V round_even(V a) {
    return round<_MM_FROUND_TO_NEAREST_INT>(a);
  }
  template <class V>
  SINTER_NATIVE V trunc(V a) {
    return round<_MM_FROUND_TO_ZERO>(a);
  }
  template <class V>
  SINTER_NATIVE V floor(V a) {
    return round<_MM_FROUND_TO_NEG_INF>(a);
  }

#if defined(SINTER_LEVEL_v4) || defined(SINTER_LEVEL_v3)
  SINTER_NATIVE VecF32 fma(VecF32 a, VecF32 b, VecF32 c) { return SINTER_MM(fmadd_ps)(a, b, c); }
  SINTER_NATIVE VecF32 fnma(VecF32 a, VecF32 b, VecF32 c) { return SINTER_MM(fnmadd_ps)(a, b, c); }
#else
  SINTER_NATIVE VecF32 fma(VecF32 a, VecF32 b, VecF32 c) {
    return _mm_movelh_ps(fma_pair(a, b, c), fma_pair(_mm_movehl_ps(a, a), _mm_movehl_ps(b, b), _mm_movehl_ps(c, c)));
  }
  SINTER_NATIVE VecF32 fnma(VecF32 a, VecF32 b, VecF32 c) { return fma(neg(a), b, c); }
  /// The lower two lanes. The product is exact in float64; the sum is rounded to odd there, after which rounding to
  /// float32 is as if done once (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
  SINTER_NATIVE __m128 fma_pair(__m128 a, __m128 b, __m128 c) {
    const VecF64 product = (VecF64)_mm_cvtps_pd(a) * (VecF64)_mm_cvtps_pd(b), addend = _mm_cvtps_pd(c);
    const VecF64 sum = product + addend;
    const VecF64 addend_part = sum - product;
    const VecF64 error = (product - (sum - addend_part)) + (addend - addend_part);
    // Inexact and even: step to the odd neighbour on the error's side (away from zero when the signs agree).
    const VecI64 bits = (VecI64)sum;
    const VecI64 inexact = (VecI64)(error != 0.0) & (VecI64)(error == error) & ((bits & 1) == 0);
    const VecI64 step = (((VecI64)error ^ bits) < 0) | 1;  // -1 towards zero, 1 away
    return _mm_cvtpd_ps((VecF64)(bits + (step & inexact)));
  }
#endif

  // -- compare, masks
  template <class V>
  SINTER_NATIVE auto eq(V a, V b) {
    return a == b;
  }
  template <class V>
  SINTER_NATIVE auto ne(V a, V b) {
    return a != b;
  }
  template <class V>
  SINTER_NATIVE auto lt(V a, V b) {
    return a < b;
  }
  template <class V>
  SINTER_NATIVE auto le(V a, V b) {
    return a <= b;
  }
  template <class V>
  SINTER_NATIVE auto gt(V a, V b) {
    return a > b;
  }
  template <class V>
  SINTER_NATIVE auto ge(V a, V b) {
    return a >= b;
  }
  template <class M>
  SINTER_NATIVE M mask_and(M a, M b) {
    return a & b;
  }
  template <class M>
  SINTER_NATIVE M mask_or(M a, M b) {
    return a | b;
  }
  template <class M>
  SINTER_NATIVE M mask_xor(M a, M b) {
    return a ^ b;
  }
  template <class M>
  SINTER_NATIVE M mask_not(M a) {
    return ~a;
  }
  SINTER_NATIVE VecBool mask_not(VecBool a) { return a ^ 1; }
  template <class M, class V>
  SINTER_NATIVE V select(M m, V a, V b) {
    return m ? a : b;
  }
  SINTER_NATIVE bool any(VecI32 m) {
#if defined(SINTER_LEVEL_v4)
    return _mm512_movepi32_mask((__m512i)m) != 0;
#else
    return SINTER_MM(movemask_ps)((VecF32)m) != 0;
#endif
  }

  // -- integer lanes of float32 values
  SINTER_NATIVE VecI32 as_i32(VecF32 a) { return (VecI32)a; }
  SINTER_NATIVE VecF32 as_f32(VecI32 a) { return (VecF32)a; }
#if defined(SINTER_LEVEL_v4)
  SINTER_NATIVE VecI32 to_i32(VecF32 a) { return (VecI32)_mm512_cvtps_epi32(a); }
  SINTER_NATIVE VecF32 to_f32(VecI32 a) { return _mm512_cvtepi32_ps((__m512i)a); }
#elif defined(SINTER_LEVEL_v3)
  SINTER_NATIVE VecI32 to_i32(VecF32 a) { return (VecI32)_mm256_cvtps_epi32(a); }
  SINTER_NATIVE VecF32 to_f32(VecI32 a) { return _mm256_cvtepi32_ps((__m256i)a); }
#else
  SINTER_NATIVE VecI32 to_i32(VecF32 a) { return (VecI32)_mm_cvtps_epi32(a); }
  SINTER_NATIVE VecF32 to_f32(VecI32 a) { return _mm_cvtepi32_ps((__m128i)a); }
#endif
  SINTER_NATIVE VecI32 i32_add(VecI32 a, VecI32 b) { return (VecI32)((VecU32)a + (VecU32)b); }
  SINTER_NATIVE VecI32 i32_sub(VecI32 a, VecI32 b) { return (VecI32)((VecU32)a - (VecU32)b); }
  SINTER_NATIVE VecI32 i32_and(VecI32 a, VecI32 b) { return a & b; }
  SINTER_NATIVE VecI32 i32_or(VecI32 a, VecI32 b) { return a | b; }
  SINTER_NATIVE VecI32 i32_xor(VecI32 a, VecI32 b) { return a ^ b; }
  SINTER_NATIVE VecI32 i32_shl(VecI32 a, int n) { return (VecI32)((VecU32)a << n); }
  SINTER_NATIVE VecI32 i32_shr(VecI32 a, int n) { return (VecI32)((VecU32)a >> n); }
  SINTER_NATIVE VecI32 i32_sar(VecI32 a, int n) { return a >> n; }
  SINTER_NATIVE VecI32 i32_eq(VecI32 a, VecI32 b) { return a == b; }
  SINTER_NATIVE VecI32 i32_gt(VecI32 a, VecI32 b) { return a > b; }
  SINTER_NATIVE VecI32 i32_has(VecI32 a, VecI32 bit) { return (a & bit) == bit; }
  SINTER_NATIVE VecF32 bit_and(VecF32 a, VecF32 b) { return (VecF32)((VecI32)a & (VecI32)b); }
  SINTER_NATIVE VecF32 bit_or(VecF32 a, VecF32 b) { return (VecF32)((VecI32)a | (VecI32)b); }
  SINTER_NATIVE VecF32 bit_xor(VecF32 a, VecF32 b) { return (VecF32)((VecI32)a ^ (VecI32)b); }
  SINTER_NATIVE VecF32 bit_andnot(VecF32 a, VecF32 b) { return (VecF32)(~(VecI32)a & (VecI32)b); }

  SINTER_NATIVE VecF32 scalef(VecF32 p, VecF32 n);

  // -- lane by lane
  SINTER_NATIVE VecF32 slow_lanes(VecI32 mask, VecF32 fast, VecF32 x, float (*fn)(float)) {
    if (__builtin_expect(any(mask), 0)) return slow_lanes_taken(mask, fast, x, fn);
    return fast;
  }
  template <class V, class F>
  SINTER_NATIVE V call1(V x, F* fn) {
    for (unsigned i = 0; i < sizeof(V) / sizeof(x[0]); ++i) x[i] = fn(x[i]);
    return x;
  }
  template <class V, class F>
  SINTER_NATIVE V call2(V x, V y, F* fn) {
    for (unsigned i = 0; i < sizeof(V) / sizeof(x[0]); ++i) x[i] = fn(x[i], y[i]);
    return x;
  }

 private:
  static __attribute__((noinline, cold)) VecF32 slow_lanes_taken(VecI32 mask, VecF32 fast, VecF32 x, float (*fn)(float)) {
    for (int i = 0; i < kLanes32; ++i)
      if (mask[i]) fast[i] = fn(x[i]);
    return fast;
  }
};

}  // namespace sinter::SINTER_LEVEL

#include "scalef.h"

namespace sinter::SINTER_LEVEL {

SINTER_MATH_INLINE VecF32 Native::scalef(VecF32 p, VecF32 n) {
#if defined(SINTER_LEVEL_v4)
  return _mm512_scalef_ps(p, n);
#else
  Native b;
  return math::scalef_by_bits(b, p, n);
#endif
}

}  // namespace sinter::SINTER_LEVEL
