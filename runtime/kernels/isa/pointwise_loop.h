// The vector loop around a pointwise expression, for the pointwise_*.cpp files of this folder.
#pragma once
#include "../../math/native_builder.h"
#include "../../ops/pointwise.h"
#include "pointwise_run.h"

namespace sinter::SINTER_LEVEL {

// -- memory: whole vectors, and the first m < lanes elements (the others read as 0)

template <ScalarType T>
SINTER_MATH_INLINE Vec<T> load(const Element<T>* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <ScalarType T>
SINTER_MATH_INLINE void store(Element<T>* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

/// Non-temporal store; p is aligned to the vector.
template <ScalarType T>
SINTER_MATH_INLINE void stream(Element<T>* p, Vec<T> v) {
#if defined(SINTER_LEVEL_v4)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), (__m512i)v);
#elif defined(SINTER_LEVEL_v3)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), (__m256i)v);
#else
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), (__m128i)v);
#endif
}

template <ScalarType T>
SINTER_MATH_INLINE Vec<T> load_part(const Element<T>* p, int m) {
#if defined(SINTER_LEVEL_v4)
  const uint64_t mask = (uint64_t{1} << m) - 1;
  if constexpr (sizeof(Element<T>) == 4) return (Vec<T>)_mm512_maskz_loadu_epi32(static_cast<__mmask16>(mask), p);
  else if constexpr (sizeof(Element<T>) == 8) return (Vec<T>)_mm512_maskz_loadu_epi64(static_cast<__mmask8>(mask), p);
  else return (Vec<T>)_mm512_maskz_loadu_epi8(mask, p);
#else
  Element<T> lanes[kLanesOf<T>] = {};
  for (int i = 0; i < m; ++i) lanes[i] = p[i];
  return load<T>(lanes);
#endif
}
template <ScalarType T>
SINTER_MATH_INLINE void store_part(Element<T>* p, Vec<T> v, int m) {
#if defined(SINTER_LEVEL_v4)
  const uint64_t mask = (uint64_t{1} << m) - 1;
  if constexpr (sizeof(Element<T>) == 4) _mm512_mask_storeu_epi32(p, static_cast<__mmask16>(mask), (__m512i)v);
  else if constexpr (sizeof(Element<T>) == 8) _mm512_mask_storeu_epi64(p, static_cast<__mmask8>(mask), (__m512i)v);
  else _mm512_mask_storeu_epi8(p, mask, (__m512i)v);
#else
  Element<T> lanes[kLanesOf<T>];
  store<T>(lanes, v);
  for (int i = 0; i < m; ++i) p[i] = lanes[i];
#endif
}

/// Masks of T's lanes in memory: one byte a lane.
template <ScalarType T>
struct MaskBytes {
  typedef int8_t Bytes __attribute__((vector_size(kLanesOf<T>)));
  SINTER_NATIVE Mask<T> load(const uint8_t* p) {
    Bytes bytes;
    __builtin_memcpy(&bytes, p, sizeof bytes);
    return __builtin_convertvector(bytes, Mask<T>) != 0;
  }
  SINTER_NATIVE void store(uint8_t* p, Mask<T> mask) {
    if constexpr (sizeof(Element<T>) == 4 && kVectorBytes < 64) return store_packed(p, mask);
    const Bytes bytes = __builtin_convertvector(mask, Bytes) & 1;
    __builtin_memcpy(p, &bytes, sizeof bytes);
  }
  /// GCC narrows lane by lane below AVX-512; two saturating packs keep -1 and 0 as they are.
  SINTER_NATIVE void store_packed(uint8_t* p, Mask<T> mask) {
    __m128i half[sizeof mask / 16];
    __builtin_memcpy(half, &mask, sizeof mask);
    const __m128i words = _mm_packs_epi32(half[0], half[sizeof mask / 16 - 1]);
    const __m128i bytes = _mm_and_si128(_mm_packs_epi16(words, words), _mm_set1_epi8(1));
    __builtin_memcpy(p, &bytes, kLanesOf<T>);
  }
  SINTER_NATIVE Mask<T> load_part(const uint8_t* p, int m) {
    uint8_t bytes[kLanesOf<T>] = {};
    for (int i = 0; i < m; ++i) bytes[i] = p[i];
    return load(bytes);
  }
  SINTER_NATIVE void store_part(uint8_t* p, Mask<T> mask, int m) {
    uint8_t bytes[kLanesOf<T>];
    store(bytes, mask);
    for (int i = 0; i < m; ++i) p[i] = bytes[i];
  }
};

/// An operand of the loop: a moving pointer, or one vector of copies that the pointer stays at. kAsMask: Bool bytes as a
/// mask of T's lanes.
template <ScalarType T, bool kAsMask>
struct Source;

template <ScalarType T>
struct Source<T, false> {
  const Element<T>* p;
  int64_t step;
  Element<T> copies[kLanesOf<T>];
  SINTER_MATH_INLINE void start(const void* data, bool broadcast) {
    p = static_cast<const Element<T>*>(data);
    step = kLanesOf<T>;
    if (broadcast) {
      store<T>(copies, Native::splat<T>(*p));
      p = copies;
      step = 0;
    }
  }
  SINTER_MATH_INLINE Vec<T> next() {
    const Vec<T> v = load<T>(p);
    p += step;
    return v;
  }
  SINTER_MATH_INLINE Vec<T> part(int m) const { return step ? load_part<T>(p, m) : load<T>(p); }
};

template <ScalarType T>
struct Source<T, true> {
  const uint8_t* p;
  int64_t step;
  uint8_t copies[kLanesOf<T>];
  SINTER_MATH_INLINE void start(const void* data, bool broadcast) {
    p = static_cast<const uint8_t*>(data);
    step = kLanesOf<T>;
    if (broadcast) {
      for (auto& c : copies) c = *p;
      p = copies;
      step = 0;
    }
  }
  SINTER_MATH_INLINE Mask<T> next() {
    const Mask<T> v = MaskBytes<T>::load(p);
    p += step;
    return v;
  }
  SINTER_MATH_INLINE Mask<T> part(int m) const { return step ? MaskBytes<T>::load_part(p, m) : MaskBytes<T>::load(p); }
};

/// Where results go: values of T, or (comparisons of wider types) masks as bytes.
template <ScalarType T, bool kAsMask>
struct Sink {
  Element<T>* p;
  bool streaming;
  SINTER_MATH_INLINE explicit Sink(const PointwiseRun& r) : p(static_cast<Element<T>*>(r.out)), streaming(r.stream) {}
  SINTER_MATH_INLINE void next(Vec<T> v) {
    if (streaming) stream<T>(p, v);
    else store<T>(p, v);
    p += kLanesOf<T>;
  }
  SINTER_MATH_INLINE void part(Vec<T> v, int m) { store_part<T>(p, v, m); }
};
template <ScalarType T>
struct Sink<T, true> {
  uint8_t* p;
  SINTER_MATH_INLINE explicit Sink(const PointwiseRun& r) : p(static_cast<uint8_t*>(r.out)) {}
  SINTER_MATH_INLINE void next(Mask<T> v) {
    MaskBytes<T>::store(p, v);
    p += kLanesOf<T>;
  }
  SINTER_MATH_INLINE void part(Mask<T> v, int m) { MaskBytes<T>::store_part(p, v, m); }
};

// -- loops by number of operands; F is a stateless expression: F::eval(builder, attr, values...)

template <ScalarType T, bool kMaskOut, class F>
void run1(const PointwiseRun& r) {
  Native b;
  Source<T, false> x;
  Sink<T, kMaskOut> out(r);
  x.start(r.in[0], r.broadcast & 1);
  int64_t n = r.n;
  for (; n >= kLanesOf<T>; n -= kLanesOf<T>) out.next(F::eval(b, r.attr, x.next()));
  if (n > 0) out.part(F::eval(b, r.attr, x.part(static_cast<int>(n))), static_cast<int>(n));
}

template <ScalarType T, bool kMaskOut, class F>
void run2(const PointwiseRun& r) {
  Native b;
  Source<T, false> x, y;
  Sink<T, kMaskOut> out(r);
  x.start(r.in[0], r.broadcast & 1);
  y.start(r.in[1], r.broadcast & 2);
  int64_t n = r.n;
  for (; n >= kLanesOf<T>; n -= kLanesOf<T>) {
    const auto a = x.next();
    out.next(F::eval(b, r.attr, a, y.next()));
  }
  const int m = static_cast<int>(n);
  if (m > 0) out.part(F::eval(b, r.attr, x.part(m), y.part(m)), m);
}

template <ScalarType T, bool kMaskIn, class F>
void run3(const PointwiseRun& r) {
  Native b;
  Source<T, kMaskIn> x;
  Source<T, false> y, z;
  Sink<T, false> out(r);
  x.start(r.in[0], r.broadcast & 1);
  y.start(r.in[1], r.broadcast & 2);
  z.start(r.in[2], r.broadcast & 4);
  int64_t n = r.n;
  for (; n >= kLanesOf<T>; n -= kLanesOf<T>) {
    const auto a = x.next();
    const auto c = y.next();
    out.next(F::eval(b, r.attr, a, c, z.next()));
  }
  const int m = static_cast<int>(n);
  if (m > 0) out.part(F::eval(b, r.attr, x.part(m), y.part(m), z.part(m)), m);
}

template <ScalarType T, class F>
void run4(const PointwiseRun& r) {
  Native b;
  Source<T, false> x, y, z, w;
  Sink<T, false> out(r);
  x.start(r.in[0], r.broadcast & 1);
  y.start(r.in[1], r.broadcast & 2);
  z.start(r.in[2], r.broadcast & 4);
  w.start(r.in[3], r.broadcast & 8);
  int64_t n = r.n;
  for (; n >= kLanesOf<T>; n -= kLanesOf<T>) {
    const auto a = x.next();
    const auto c = y.next();
    const auto d = z.next();
    out.next(F::eval(b, r.attr, a, c, d, w.next()));
  }
  const int m = static_cast<int>(n);
  if (m > 0) out.part(F::eval(b, r.attr, x.part(m), y.part(m), z.part(m), w.part(m)), m);
}

// Tables: one functor and one case a row. `T` is the file's compute type; a row that does not take it has no case.
#define SINTER_EVAL(name)                                       \
  struct Eval_##name {                                          \
    template <class... V>                                       \
    SINTER_NATIVE auto eval(Native& b, uint64_t attr, V... v) { \
      return Ops<T>::name(b, attr, v...);                       \
    }                                                           \
  };
#define SINTER_ROW_CASE(name, ...)                                   \
  case Op::name:                                                     \
    if constexpr (pointwise_takes(Op::name, T)) return &__VA_ARGS__; \
    break;
#define SINTER_CASE1(name) SINTER_ROW_CASE(name, run1<T, false, Eval_##name>)
#define SINTER_CASE2(name) SINTER_ROW_CASE(name, run2<T, pointwise_gives_bool(Op::name) && T != ScalarType::Bool, Eval_##name>)
#define SINTER_CASE3(name) SINTER_ROW_CASE(name, run3<T, Op::name == Op::where && T != ScalarType::Bool, Eval_##name>)
#define SINTER_CASE4(name) SINTER_ROW_CASE(name, run4<T, Eval_##name>)

}  // namespace sinter::SINTER_LEVEL
