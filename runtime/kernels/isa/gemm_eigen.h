// Matrix products by Eigen, for CPUs without fused multiply-add (level v2).
// Included only by files of this folder (see lanes.h).
#pragma once
// Blocks above this many bytes are packed on the heap: Eigen's own limit of 128 KiB overflows a small thread's stack.
#define EIGEN_STACK_ALLOCATION_LIMIT 8192
#include <Eigen/Core>
#include "gemm.h"

namespace sinter::SINTER_LEVEL::lanes {

template <class T, int kOrder>
using EigenMatrix = Eigen::Map<const Eigen::Matrix<T, -1, -1, kOrder>, 0, Eigen::OuterStride<>>;

template <class T, int kA, int kB>
[[gnu::noinline]] void eigen_product(int64_t m, int64_t n, int64_t k, MatrixRef<T> a, MatrixRef<T> b, T* c) {
  const EigenMatrix<T, kA> x(a.data, m, k, Eigen::OuterStride<>(kA == Eigen::RowMajor ? a.row_stride : a.col_stride));
  const EigenMatrix<T, kB> y(b.data, k, n, Eigen::OuterStride<>(kB == Eigen::RowMajor ? b.row_stride : b.col_stride));
  Eigen::Map<Eigen::Matrix<T, -1, -1, Eigen::RowMajor>> z(c, m, n);
  z.noalias() = x * y;
}

template <class T>
void product(int64_t m, int64_t n, int64_t k, MatrixRef<T> a, MatrixRef<T> b, T* c) {
  const bool a_rows = a.col_stride == 1 || k == 1, b_rows = b.col_stride == 1 || n == 1;
  constexpr int kR = Eigen::RowMajor, kC = Eigen::ColMajor;
  const auto fn = a_rows ? (b_rows ? eigen_product<T, kR, kR> : eigen_product<T, kR, kC>)
                         : (b_rows ? eigen_product<T, kC, kR> : eigen_product<T, kC, kC>);
  fn(m, n, k, a, b, c);
}

template <class T>
inline constexpr GemmKernels<T> kKernels = {product<T>, {}, nullptr, nullptr, add_bias<T>};

}  // namespace sinter::SINTER_LEVEL::lanes
