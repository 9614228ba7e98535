// Matrix products of one element type: register tiles for small ones, Eigen for the others.
// Included only by files of this folder (see lanes.h).
#pragma once
// GCC 12 takes the undefined operand inside AVX-512 intrinsics for a variable of ours (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
// Blocks above this many bytes are packed on the heap: Eigen's own limit of 128 KiB overflows a small thread's stack.
#define EIGEN_STACK_ALLOCATION_LIMIT 8192
#include <Eigen/Core>
#include "gemm_kernels.h"
#include "lanes.h"

namespace sinter::SINTER_LEVEL::lanes {

// a * b + c, rounded once where the level has the instruction.
#if defined(SINTER_LEVEL_v4)
[[gnu::always_inline]] inline Vec<float> mul_add(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm512_fmadd_ps(a, b, c); }
[[gnu::always_inline]] inline Vec<double> mul_add(Vec<double> a, Vec<double> b, Vec<double> c) {
  return _mm512_fmadd_pd(a, b, c);
}
#elif defined(SINTER_LEVEL_v3)
[[gnu::always_inline]] inline Vec<float> mul_add(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm256_fmadd_ps(a, b, c); }
[[gnu::always_inline]] inline Vec<double> mul_add(Vec<double> a, Vec<double> b, Vec<double> c) {
  return _mm256_fmadd_pd(a, b, c);
}
#else
template <class V>
[[gnu::always_inline]] inline V mul_add(V a, V b, V c) {
  return a * b + c;
}
#endif

/// An MR x (NV vectors) block of c. `tail`: elements of the last vector that exist, 0 = all. b's rows are ldb apart. `bias`:
/// added here, where c is in registers, or null.
template <class T, int MR, int NV, bool kTail>
void tile(int64_t k, MatrixRef<T> a, const T* b, int64_t ldb, T* c, int64_t ldc, int tail, const T* bias) {
  constexpr int kW = kWidth<T>;
  Vec<T> acc[MR][NV];
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) acc[i][j] = Vec<T>{};
  }
  for (int64_t q = 0; q < k; ++q) {
    Vec<T> bv[NV];
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j)
      bv[j] = kTail && j == NV - 1 ? load_part(b + q * ldb + j * kW, tail) : load_vec(b + q * ldb + j * kW);
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
      const Vec<T> av = splat<T>(a.data[i * a.row_stride + q * a.col_stride]);
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) acc[i][j] = mul_add(av, bv[j], acc[i][j]);
    }
  }
  if (bias != nullptr) {
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) {
      const Vec<T> x = kTail && j == NV - 1 ? load_part(bias + j * kW, tail) : load_vec(bias + j * kW);
#pragma GCC unroll 8
      for (int i = 0; i < MR; ++i) acc[i][j] = acc[i][j] + x;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) {
      T* to = c + i * ldc + j * kW;
      if (kTail && j == NV - 1) store_part(to, acc[i][j], tail);
      else store_vec(to, acc[i][j]);
    }
  }
}

/// All rows of one panel of NV vectors.
template <class T, int NV, bool kTail>
void panel(int64_t m, int64_t k, MatrixRef<T> a, const T* b, int64_t ldb, T* c, int64_t ldc, int tail, const T* bias) {
  constexpr int kMost = 8 / NV;
  const auto next = [&](int rows) {
    a.data += rows * a.row_stride;
    c += rows * ldc;
    m -= rows;
  };
  while (m >= kMost) tile<T, kMost, NV, kTail>(k, a, b, ldb, c, ldc, tail, bias), next(kMost);
  if (NV == 1 && m >= 4) tile<T, 4, NV, kTail>(k, a, b, ldb, c, ldc, tail, bias), next(4);
  if (m >= 2) tile<T, 2, NV, kTail>(k, a, b, ldb, c, ldc, tail, bias), next(2);
  if (m >= 1) tile<T, 1, NV, kTail>(k, a, b, ldb, c, ldc, tail, bias);
}

/// Sum over k in order, one accumulator per element of c. b row-major with rows ldb apart.
template <class T>
void small_product(int64_t m, int64_t n, int64_t k, MatrixRef<T> a, const T* b, int64_t ldb, T* c, const T* bias) {
  constexpr int kW = kWidth<T>;
  const auto bias_at = [&](int64_t j) { return bias == nullptr ? nullptr : bias + j; };
  int64_t j = 0;
  for (; j + 2 * kW <= n; j += 2 * kW) panel<T, 2, false>(m, k, a, b + j, ldb, c + j, n, 0, bias_at(j));
  const int rest = static_cast<int>(n - j);
  if (rest > kW) panel<T, 2, true>(m, k, a, b + j, ldb, c + j, n, rest - kW, bias_at(j));
  else if (rest == kW) panel<T, 1, false>(m, k, a, b + j, ldb, c + j, n, 0, bias_at(j));
  else if (rest > 0) panel<T, 1, true>(m, k, a, b + j, ldb, c + j, n, rest, bias_at(j));
}

/// b (its columns dense) as rows of n elements.
template <class T>
void pack(MatrixRef<T> b, int64_t k, int64_t n, T* to) {
  int64_t j = 0;
  if constexpr (sizeof(T) == 4) {
    for (; j + 4 <= n; j += 4) {  // blocks of 4 x 4, transposed in registers
      const float* from = b.data + j * b.col_stride;
      int64_t q = 0;
      for (; q + 4 <= k; q += 4) {
        __m128 r0 = _mm_loadu_ps(from + q), r1 = _mm_loadu_ps(from + q + b.col_stride);
        __m128 r2 = _mm_loadu_ps(from + q + 2 * b.col_stride), r3 = _mm_loadu_ps(from + q + 3 * b.col_stride);
        _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
        _mm_storeu_ps(to + q * n + j, r0);
        _mm_storeu_ps(to + (q + 1) * n + j, r1);
        _mm_storeu_ps(to + (q + 2) * n + j, r2);
        _mm_storeu_ps(to + (q + 3) * n + j, r3);
      }
      for (; q < k; ++q)
        for (int64_t c = 0; c < 4; ++c) to[q * n + j + c] = from[q + c * b.col_stride];
    }
  }
  for (; j < n; ++j)
    for (int64_t q = 0; q < k; ++q) to[q * n + j] = b.data[q + j * b.col_stride];
}

template <class T, int kOrder>
using EigenMatrix = Eigen::Map<const Eigen::Matrix<T, -1, -1, kOrder>, 0, Eigen::OuterStride<>>;

template <class T, int kA, int kB>
[[gnu::noinline]] void eigen_product(int64_t m, int64_t n, int64_t k, MatrixRef<T> a, MatrixRef<T> b, T* c) {
  const EigenMatrix<T, kA> x(a.data, m, k, Eigen::OuterStride<>(kA == Eigen::RowMajor ? a.row_stride : a.col_stride));
  const EigenMatrix<T, kB> y(b.data, k, n, Eigen::OuterStride<>(kB == Eigen::RowMajor ? b.row_stride : b.col_stride));
  Eigen::Map<Eigen::Matrix<T, -1, -1, Eigen::RowMajor>> z(c, m, n);
  z.noalias() = x * y;
}

inline constexpr int64_t kSmallProduct = 32 * 1024;  // multiply-adds up to which register tiles beat Eigen's packing
inline constexpr int64_t kPackBytes = 16 * 1024;     // of b, on the stack

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

template <class T>
void product(int64_t m, int64_t n, int64_t k, MatrixRef<T> a, MatrixRef<T> b, T* c, const T* bias) {
  const bool a_rows = a.col_stride == 1 || k == 1, b_rows = b.col_stride == 1 || n == 1;
  if (m * n * k <= kSmallProduct) {
    if (b_rows) return small_product(m, n, k, a, b.data, b.row_stride, c, bias);
    // With one row of a, packing costs more than the product.
    if (k * n * static_cast<int64_t>(sizeof(T)) <= (m == 1 ? kPackBytes / 16 : kPackBytes)) {
      alignas(64) T packed[kPackBytes / sizeof(T)];
      pack(b, k, n, packed);
      return small_product(m, n, k, a, packed, n, c, bias);
    }
  }
  constexpr int kR = Eigen::RowMajor, kC = Eigen::ColMajor;
  const auto fn = a_rows ? (b_rows ? eigen_product<T, kR, kR> : eigen_product<T, kR, kC>)
                         : (b_rows ? eigen_product<T, kC, kR> : eigen_product<T, kC, kC>);
  fn(m, n, k, a, b, c);
  if (bias != nullptr) add_bias(m, n, c, T(1), T(1), {bias, 0, 1});
}

}  // namespace sinter::SINTER_LEVEL::lanes
