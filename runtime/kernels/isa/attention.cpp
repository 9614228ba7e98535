// Attention over tiles of query rows: packed keys, chains of fused multiply-adds in registers, softmax of whole rows.
#include <type_traits>
#include "../attention_order.h"
#include "attention_kernels.h"
#include "softmax_row.h"

namespace sinter::SINTER_LEVEL::lanes {
namespace {

// a * b + c, rounded once where the level has the instruction.
template <class T>
[[gnu::always_inline]] inline Vec<T> chain_step(Vec<T> a, Vec<T> b, Vec<T> c) {
#if defined(SINTER_LEVEL_v4)
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
  else return (Vec<T>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(SINTER_LEVEL_v3)
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
  else return (Vec<T>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  return a * b + c;
#endif
}

// Rows and vectors of a register tile: as many sums as hide the latency of the multiply-adds and leave room for operands.
#if defined(SINTER_LEVEL_v4)
inline constexpr int kRows = 8, kVecs = 2;
#elif defined(SINTER_LEVEL_v3)
inline constexpr int kRows = 4, kVecs = 3;
#else
inline constexpr int kRows = 4, kVecs = 2;
#endif
template <class T>
inline constexpr int64_t kPanel = kVecs* kWidth<T>;

template <class T>
[[gnu::always_inline]] inline Vec<T> scaled(Vec<T> x, ScoreScale<T> s) {
  return s.divides ? x / splat<T>(s.scale) : x * splat<T>(s.scale);
}

[[gnu::always_inline]] inline int64_t block_steps(int64_t left) { return left < kAttentionBlock ? left : kAttentionBlock; }

/// One block of a chain for MR rows of a and NV vectors of b, whose rows are ldb apart. `tail`: elements of the last vector that
/// exist. done(i, j, sum) takes the sums.
template <class T, int MR, int NV, bool kTail, class Done>
[[gnu::always_inline]] inline void chain_block(int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, int tail, Done done) {
  constexpr int kW = kWidth<T>;
  Vec<T> acc[MR][NV];
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 3
    for (int j = 0; j < NV; ++j) acc[i][j] = Vec<T>{};
  }
  for (int64_t q = 0; q < k; ++q, b += ldb) {
    Vec<T> bv[NV];
#pragma GCC unroll 3
    for (int j = 0; j < NV; ++j) bv[j] = kTail && j == NV - 1 ? load_part(b + j * kW, tail) : load_vec(b + j * kW);
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
      const Vec<T> av = splat<T>(load_one(a + i * lda + q));
#pragma GCC unroll 3
      for (int j = 0; j < NV; ++j) acc[i][j] = chain_step<T>(av, bv[j], acc[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 3
    for (int j = 0; j < NV; ++j) done(i, j, acc[i][j]);
  }
}

/// fn(first row, rows as a constant) for register tiles that cover `rows` rows.
template <class Fn>
[[gnu::always_inline]] inline void for_row_tiles(int64_t rows, Fn fn) {
  int64_t i = 0;
  for (; i + kRows <= rows; i += kRows) fn(i, std::integral_constant<int, kRows>());
  if (kRows == 8 && rows - i >= 4) fn(i, std::integral_constant<int, 4>()), i += 4;
  if (rows - i >= 2) fn(i, std::integral_constant<int, 2>()), i += 2;
  if (rows - i >= 1) fn(i, std::integral_constant<int, 1>());
}

// -- scores

/// Scores of NV vectors of keys.
template <class T, int NV>
void score_columns(int64_t rows, int64_t depth, const T* q, int64_t q_stride, const T* packed, T* s, int64_t s_stride,
                   ScoreScale<T> scale) {
  constexpr int kW = kWidth<T>;
  for_row_tiles(rows, [&](int64_t first, auto constant) SINTER_INLINE_LAMBDA {
    constexpr int MR = decltype(constant)::value;
    const T* a = q + first * q_stride;
    T* c = s + first * s_stride;
    if (depth <= kAttentionBlock) [[likely]] {
      chain_block<T, MR, NV, false>(depth, a, q_stride, packed, kPanel<T>, 0, [&](int i, int j, Vec<T> sum) SINTER_INLINE_LAMBDA {
        store_vec(c + i * s_stride + j * kW, scaled(sum, scale));
      });
      return;
    }
    for (int64_t e = 0; e < depth; e += kAttentionBlock) {
      const int64_t n = block_steps(depth - e);
      chain_block<T, MR, NV, false>(n, a + e, q_stride, packed + e * kPanel<T>, kPanel<T>, 0,
                                    [&](int i, int j, Vec<T> sum) SINTER_INLINE_LAMBDA {
                                      T* to = c + i * s_stride + j * kW;
                                      const Vec<T> total = e == 0 ? sum : load_vec(to) + sum;
                                      store_vec(to, e + n == depth ? scaled(total, scale) : total);
                                    });
    }
  });
}

template <class T>
void scores(int64_t rows, int64_t keys, int64_t depth, const T* q, int64_t q_stride, const T* packed, T* s, int64_t s_stride,
            ScoreScale<T> scale) {
  const auto run = keys > 2 * kWidth<T> ? score_columns<T, kVecs> : keys > kWidth<T> ? score_columns<T, 2> : score_columns<T, 1>;
  run(rows, depth, q, q_stride, packed, s, s_stride, scale);
}

// -- masks

template <class T>
void add_mask(T* s, const T* mask, int64_t n) {
  map_lanes(
      n, s, [](Vec<T> x, Vec<T> m) SINTER_INLINE_LAMBDA { return x + m; }, s, mask);
}

/// s[j] = f(s[j], flags[j] is true) with a mask of lanes.
template <class T, class F>
[[gnu::always_inline]] inline void map_flags(T* s, const bool* flags, int64_t n, F f) {
  constexpr int kW = kWidth<T>;
  typedef uint8_t Bytes __attribute__((vector_size(kW)));
  using Index = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  const auto step = [&](const void* from, T* at) SINTER_INLINE_LAMBDA {
    Bytes b;
    __builtin_memcpy(&b, from, kW);
    store_vec(at, f(load_vec(at), __builtin_convertvector(b, Vec<Index>) != 0));
  };
  int64_t j = 0;
  for (; j + kW <= n; j += kW) step(flags + j, s + j);
  if (j == n) return;
  uint8_t last[kW] = {};
  T part[kW] = {};
  __builtin_memcpy(last, flags + j, static_cast<size_t>(n - j));
  __builtin_memcpy(part, s + j, static_cast<size_t>(n - j) * sizeof(T));
  step(last, part);
  __builtin_memcpy(s + j, part, static_cast<size_t>(n - j) * sizeof(T));
}

template <class T>
void keep(T* s, const bool* flags, int64_t n) {
  const Vec<T> zero{}, none = splat<T>(kLowest<T>);
  map_flags(s, flags, n, [&](Vec<T> x, auto m) SINTER_INLINE_LAMBDA { return x + (m ? zero : none); });
}

template <class T>
void fill(T* s, const bool* flags, T value, int64_t n) {
  const Vec<T> v = splat<T>(value);
  map_flags(s, flags, n, [&](Vec<T> x, auto m) SINTER_INLINE_LAMBDA { return m ? v : x; });
}

// -- weights and values

template <class T>
void softmax(T* s, int64_t s_stride, int64_t rows, int64_t n, bool plain) {
  for (int64_t r = 0; r < rows; ++r, s += s_stride) {
    const T max = row_max(s, n);
    if (max == kLowest<T> && !plain) {
      for (int64_t j = 0; j < n; ++j) s[j] = 0;
      continue;
    }
    softmax_row(s, max, s, n);
  }
}

/// Columns [0, NV vectors) of the values, of which the last has `tail` elements.
template <class T, int NV, bool kTail>
void value_columns(int64_t rows, int64_t keys, const T* s, int64_t s_stride, const T* v, int64_t v_stride, T* o, int64_t o_stride,
                   int tail) {
  constexpr int kW = kWidth<T>;
  for_row_tiles(rows, [&](int64_t first, auto constant) SINTER_INLINE_LAMBDA {
    constexpr int MR = decltype(constant)::value;
    const T* a = s + first * s_stride;
    T* c = o + first * o_stride;
    for (int64_t k = 0; k < keys; k += kAttentionBlock) {
      chain_block<T, MR, NV, kTail>(block_steps(keys - k), a + k, s_stride, v + k * v_stride, v_stride, tail,
                                    [&](int i, int j, Vec<T> sum) SINTER_INLINE_LAMBDA {
                                      T* to = c + i * o_stride + j * kW;
                                      if (kTail && j == NV - 1) store_part(to, k == 0 ? sum : load_part(to, tail) + sum, tail);
                                      else store_vec(to, k == 0 ? sum : load_vec(to) + sum);
                                    });
    }
  });
}

template <class T>
void values(int64_t rows, int64_t keys, int64_t width, const T* s, int64_t s_stride, const T* v, int64_t v_stride, T* o,
            int64_t o_stride) {
  constexpr int kW = kWidth<T>;
  int64_t c = 0;
  for (; c + kPanel<T> <= width; c += kPanel<T>)
    value_columns<T, kVecs, false>(rows, keys, s, s_stride, v + c, v_stride, o + c, o_stride, 0);
  for (; c + kW <= width; c += kW) value_columns<T, 1, false>(rows, keys, s, s_stride, v + c, v_stride, o + c, o_stride, 0);
  if (c < width)
    value_columns<T, 1, true>(rows, keys, s, s_stride, v + c, v_stride, o + c, o_stride, static_cast<int>(width - c));
}

/// s[j] times or over the scale.
template <class T>
void scale(T* s, int64_t n, ScoreScale<T> by) {
  map_lanes(
      n, s, [&](Vec<T> x) SINTER_INLINE_LAMBDA { return scaled(x, by); }, s);
}

template <class T>
constexpr AttentionKernels<T> attention_table() {
  return {kPanel<T>, scores<T>, scale<T>, add_mask<T>, keep<T>, fill<T>, softmax<T>, values<T>};
}

}  // namespace
}  // namespace sinter::SINTER_LEVEL::lanes

namespace sinter::SINTER_LEVEL {

extern constexpr AttentionKernels<float> kAttentionFloat = lanes::attention_table<float>();
extern constexpr AttentionKernels<double> kAttentionDouble = lanes::attention_table<double>();

}  // namespace sinter::SINTER_LEVEL
