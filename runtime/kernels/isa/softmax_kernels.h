// Softmax kernels of one element type at one ISA level, as called by softmax.cpp. Formulas: softmax.h.
#pragma once
#include <cstdint>

namespace sinter {

/// Operands: x (softmax, log_softmax) or grad and output (their gradients), all dense.
/// Rows: `rows` rows of n elements. Columns: n rows of `width` elements, `stride` apart; temp has room for 2 * width.
template <class T>
struct SoftmaxKernels {
  using Rows = void (*)(const T* a, const T* b, T* out, int64_t rows, int64_t n);
  using Columns = void (*)(const T* a, const T* b, T* out, int64_t n, int64_t width, int64_t stride, T* temp);
  Rows rows[4];        // softmax, log_softmax, softmax_backward, log_softmax_backward
  Columns columns[4];  // b is null in the first two
};

#define SINTER_SOFTMAX_LEVEL(level)                   \
  namespace level {                                   \
  extern const SoftmaxKernels<float> kSoftmaxFloat;   \
  extern const SoftmaxKernels<double> kSoftmaxDouble; \
  }
SINTER_SOFTMAX_LEVEL(v2)
SINTER_SOFTMAX_LEVEL(v3)
SINTER_SOFTMAX_LEVEL(v4)
#undef SINTER_SOFTMAX_LEVEL

}  // namespace sinter
