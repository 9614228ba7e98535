// Reduction kernels of one element type at one ISA level, as called by reduce.cpp. Order: reduce_order.h.
#pragma once
#include <cstdint>

namespace sinter {

/// Rows: `rows` rows of n contiguous elements, `stride` elements apart; one result each.
/// Columns: n rows of `inner` contiguous elements, `stride` apart, reduced over the rows; `inner` results.
/// center (float types only): sum((x - center)^2), one center per row or column.
template <class T>
struct ReduceKernels {
  void (*sum_rows)(const T* in, int64_t rows, int64_t n, int64_t stride, T* out);
  void (*max_rows)(const T* in, int64_t rows, int64_t n, int64_t stride, T* out);
  void (*min_rows)(const T* in, int64_t rows, int64_t n, int64_t stride, T* out);
  void (*sum_columns)(const T* in, int64_t n, int64_t inner, int64_t stride, T* out);
  void (*max_columns)(const T* in, int64_t n, int64_t inner, int64_t stride, T* out);
  void (*min_columns)(const T* in, int64_t n, int64_t inner, int64_t stride, T* out);
  /// Position of the first element equal to `value` (a NaN: the first NaN) among n; there is one.
  int64_t (*find)(const T* in, int64_t n, T value);
  void (*square_rows)(const T* in, int64_t rows, int64_t n, int64_t stride, const T* center, T* out);
  void (*square_columns)(const T* in, int64_t n, int64_t inner, int64_t stride, const T* center, T* out);
};

/// The table of the level in use (isa()). T: float, double, int64_t.
template <class T>
const ReduceKernels<T>& reduce_kernels();

#define SINTER_REDUCE_LEVEL(level)                  \
  namespace level {                                 \
  extern const ReduceKernels<float> kReduceFloat;   \
  extern const ReduceKernels<double> kReduceDouble; \
  extern const ReduceKernels<int64_t> kReduceLong;  \
  }
SINTER_REDUCE_LEVEL(v2)
SINTER_REDUCE_LEVEL(v3)
SINTER_REDUCE_LEVEL(v4)
#undef SINTER_REDUCE_LEVEL

}  // namespace sinter
