// Matrix product kernels of one ISA level, as called by gemm.cpp.
#pragma once
#include <cstdint>

namespace sinter {

/// A matrix by strides in elements.
template <class T>
struct MatrixRef {
  const T* data;
  int64_t row_stride, col_stride;
};

template <class T>
struct GemmKernels {
  /// c (m x n, row-major, dense) = a (m x k) * b (k x n), k > 0, plus `bias` (n dense elements, or null) in every row. Which way
  /// is taken, and with it the order of the sum, depends on sizes and strides alone. Each operand: one stride 1 (or along a
  /// dimension of size 1).
  void (*product)(int64_t m, int64_t n, int64_t k, MatrixRef<T> a, MatrixRef<T> b, T* c, const T* bias);
  /// c = alpha * c + beta * bias; beta == 0 does not read bias.
  void (*add_bias)(int64_t m, int64_t n, T* c, T alpha, T beta, MatrixRef<T> bias);
};

#define SINTER_GEMM_LEVEL(level)                \
  namespace level {                             \
  extern const GemmKernels<float> kGemmFloat;   \
  extern const GemmKernels<double> kGemmDouble; \
  }
SINTER_GEMM_LEVEL(v2)
SINTER_GEMM_LEVEL(v3)
SINTER_GEMM_LEVEL(v4)
#undef SINTER_GEMM_LEVEL

}  // namespace sinter
