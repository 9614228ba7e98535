// Matrix product kernels of one ISA level, as called by gemm.cpp.
#pragma once
#include <cstdint>
#include "../gemm_plan.h"

namespace sinter {

/// A matrix by strides in elements.
template <class T>
struct MatrixRef {
  const T* data;
  int64_t row_stride, col_stride;
};

template <class T>
struct GemmKernels {
  /// c (m x n, row-major, dense) = a (m x k) * b (k x n), k > 0. Each operand: one stride 1 (or along a dimension of size 1).
  /// Only level v2 has it, by Eigen; the others have tiles.
  void (*product)(int64_t m, int64_t n, int64_t k, MatrixRef<T> a, MatrixRef<T> b, T* c);
  /// Tiles that sum in the order of gemm_order.h.
  GemmRegisters registers;
  GemmTileFn chain_tile, dot_tile;
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
