// Tiles of matrix products of one element type in C++, called as the emitted ones are; the order is that of gemm_order.h.
// Included only by files of this folder (see lanes.h).
#pragma once
#include "../gemm_order.h"
#include "gemm_kernels.h"
#include "lanes.h"

namespace sinter::SINTER_LEVEL::lanes {

template <class T>
void add_bias(int64_t m, int64_t n, T* c, T alpha, T beta, MatrixRef<T> bias) {
  constexpr int kW = kWidth<T>;
  for (int64_t i = 0; i < m; ++i, c += n) {
    const T* p = bias.data + i * bias.row_stride;
    int64_t j = 0;
    if (beta == 0) {
      for (; j < n; ++j) c[j] = alpha * c[j];
      continue;
    }
    if (bias.col_stride == 1) {
      const Vec<T> x = splat<T>(alpha), y = splat<T>(beta);
      for (; j + kW <= n; j += kW) store_vec(c + j, x * load_vec(c + j) + y * load_vec(p + j));
      const int rest = static_cast<int>(n - j);
      if (rest) store_part(c + j, x * load_part(c + j, rest) + y * load_part(p + j, rest), rest);
      continue;
    }
    for (; j < n; ++j) c[j] = alpha * c[j] + beta * p[j * bias.col_stride];
  }
}

#if !defined(SINTER_LEVEL_v2)

// a * b + c, rounded once.
#if defined(SINTER_LEVEL_v4)
[[gnu::always_inline]] inline Vec<float> mul_add(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm512_fmadd_ps(a, b, c); }
[[gnu::always_inline]] inline Vec<double> mul_add(Vec<double> a, Vec<double> b, Vec<double> c) {
  return _mm512_fmadd_pd(a, b, c);
}
#else
[[gnu::always_inline]] inline Vec<float> mul_add(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm256_fmadd_ps(a, b, c); }
[[gnu::always_inline]] inline Vec<double> mul_add(Vec<double> a, Vec<double> b, Vec<double> c) {
  return _mm256_fmadd_pd(a, b, c);
}
#endif

template <class T>
[[gnu::always_inline]] inline const T* moved(const T* p, int64_t bytes) {
  return reinterpret_cast<const T*>(reinterpret_cast<const char*>(p) + bytes);
}

/// R rows of NV vectors of one tile, from row `first` on.
template <class T, int R, int NV>
void chain_rows(const GemmTile& t, int first) {
  constexpr int kW = kWidth<T>;
  const GemmTileShape& shape = *t.shape;
  const T *v = static_cast<const T*>(t.v), *s = moved(static_cast<const T*>(t.s), first * shape.s_s);
  T* totals = static_cast<T*>(t.totals) + first * NV * kW;
  Vec<T> acc[R][NV];
  bool earlier = t.earlier != 0;
  for (int64_t done = 0; done < t.k; done += kGemmBlock) {
    const int64_t end = done + kGemmBlock < t.k ? done + kGemmBlock : t.k;
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) acc[i][j] = Vec<T>{};
    for (int64_t q = done; q < end; ++q, v = moved(v, shape.v_k), s = moved(s, shape.s_k)) {
      Vec<T> x[NV];
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j)
        x[j] = shape.mask_loads && shape.tail && j == NV - 1 ? load_part(v + j * kW, shape.tail) : load_vec(v + j * kW);
#pragma GCC unroll 8
      for (int i = 0; i < R; ++i) {
        const Vec<T> y = splat<T>(*moved(s, i * shape.s_s));
#pragma GCC unroll 2
        for (int j = 0; j < NV; ++j) acc[i][j] = mul_add(y, x[j], acc[i][j]);
      }
    }
    const bool last = end == t.k && t.more == 0;
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) {
        T* total = totals + (i * NV + j) * kW;
        if (earlier) acc[i][j] = acc[i][j] + load_vec(total);
        if (!last) store_vec(total, acc[i][j]);
      }
    earlier = true;
  }
  if (t.more) return;
  const T* bias = static_cast<const T*>(t.bias);
  T* c = static_cast<T*>(t.c);
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) {
      const int count = shape.tail && j == NV - 1 ? shape.tail : kW;
      if (shape.bias_s) acc[i][j] = acc[i][j] + splat<T>(bias[first + i]);
      if (shape.bias_v) acc[i][j] = acc[i][j] + load_part(bias + j * kW, count);
      if (shape.c_v == sizeof(T)) {
        store_part(const_cast<T*>(moved(c, (first + i) * shape.c_s)) + j * kW, acc[i][j], count);
        continue;
      }
      T row[kW];
      store_vec(row, acc[i][j]);
      for (int e = 0; e < count; ++e) *const_cast<T*>(moved(c, (first + i) * shape.c_s + (j * kW + e) * shape.c_v)) = row[e];
    }
}

template <class T, int NV>
void chain_vectors(const GemmTile& t) {
  const int rows = t.shape->rows;
  int i = 0;
#if defined(SINTER_LEVEL_v4)
  for (; i + 8 <= rows; i += 8) chain_rows<T, 8, NV>(t, i);
#endif
  for (; i + 4 <= rows; i += 4) chain_rows<T, 4, NV>(t, i);
  if (i + 2 <= rows) chain_rows<T, 2, NV>(t, i), i += 2;
  if (i < rows) chain_rows<T, 1, NV>(t, i);
}

template <class T>
void chain_tile(const GemmTile* t) {
  if (t->shape->vectors == 1) chain_vectors<T, 1>(*t);
  else chain_vectors<T, 2>(*t);
}

/// Sums of one row of the s side with NC columns of the v side.
template <class T, int NC>
void dot_columns(const GemmTile& t, int row, int first) {
  constexpr int kW = kWidth<T>, kLanes = kDotBytes / static_cast<int>(sizeof(T)), kParts = kLanes / kW;
  const GemmTileShape& shape = *t.shape;
  const T *s = moved(static_cast<const T*>(t.s), row * shape.s_s), *v = moved(static_cast<const T*>(t.v), first * shape.v_k);
  Vec<T> acc[NC][kParts] = {};
  int64_t q = 0;
  for (; q + kLanes <= t.k; q += kLanes)
#pragma GCC unroll 2
    for (int p = 0; p < kParts; ++p) {
      const Vec<T> x = load_vec(s + q + p * kW);
#pragma GCC unroll 4
      for (int j = 0; j < NC; ++j) acc[j][p] = mul_add(x, load_vec(moved(v, j * shape.v_k) + q + p * kW), acc[j][p]);
    }
  for (int p = 0; p < kParts && q + p * kW < t.k; ++p) {
    const int count = t.k - q - p * kW < kW ? static_cast<int>(t.k - q - p * kW) : kW;
    const Vec<T> x = load_part(s + q + p * kW, count);
#pragma GCC unroll 4
    for (int j = 0; j < NC; ++j) acc[j][p] = mul_add(x, load_part(moved(v, j * shape.v_k) + q + p * kW, count), acc[j][p]);
  }
  for (int j = 0; j < NC; ++j) {
    T lane[kLanes];
    for (int p = 0; p < kParts; ++p) store_vec(lane + p * kW, acc[j][p]);
    for (int h = kLanes / 2; h > 0; h /= 2)
      for (int l = 0; l < h; ++l) lane[l] = lane[l] + lane[l + h];
    if (shape.bias_s) lane[0] = lane[0] + static_cast<const T*>(t.bias)[row];
    if (shape.bias_v) lane[0] = lane[0] + static_cast<const T*>(t.bias)[first + j];
    *const_cast<T*>(moved(static_cast<const T*>(t.c), row * shape.c_s + (first + j) * shape.c_v)) = lane[0];
  }
}

template <class T>
void dot_tile(const GemmTile* t) {
  for (int i = 0; i < t->shape->rows; ++i) {
    int j = 0;
    for (; j + 4 <= t->shape->vectors; j += 4) dot_columns<T, 4>(*t, i, j);
    for (; j < t->shape->vectors; ++j) dot_columns<T, 1>(*t, i, j);
  }
}

/// Sums that GCC keeps in registers.
template <class T>
inline constexpr GemmRegisters kTileRegisters = {kWidth<T>, kVecBytes == 64 ? 8 : 4,     {0, 2, 2, 2, 2, 2, 2, 2, 2},
                                                 8,         {0, 8, 8, 8, 8, 8, 8, 8, 8}, true};

template <class T>
inline constexpr GemmKernels<T> kKernels = {nullptr, kTileRegisters<T>, chain_tile<T>, dot_tile<T>, add_bias<T>};

#endif

}  // namespace sinter::SINTER_LEVEL::lanes
