// What the pointwise driver (kernels/pointwise.cpp) calls in each instruction-set level.
#pragma once
#include <cstdint>
#include "../../dtype.h"
#include "../../ops/ops.h"

namespace sinter {

inline constexpr int kMaxPointwiseOperands = 4;

/// One contiguous run of n elements, operands in the order and type Ops<T> takes them (runtime/ops/pointwise.h). Bit i of
/// `broadcast`: in[i] is one element used for all. `out` may be the same memory as an operand that is not broadcast.
struct PointwiseRun {
  void* out;
  const void* in[kMaxPointwiseOperands];
  uint32_t broadcast;
  int64_t n;
  uint64_t attr;
  bool stream;  // write past the caches: `out` is large, 64-byte aligned and not an operand
};
using PointwiseFn = void (*)(const PointwiseRun& run);

/// Converts n elements; strides in elements.
using ConvertFn = void (*)(void* dst, int64_t dst_stride, const void* src, int64_t src_stride, int64_t n);

#define SINTER_DECLARE_POINTWISE_LEVEL(level)                                        \
  namespace level {                                                                  \
  PointwiseFn find_pointwise_bool(Op op, int n_in);                                  \
  PointwiseFn find_pointwise_i64(Op op, int n_in);                                   \
  PointwiseFn find_pointwise_f32(Op op, int n_in);                                   \
  PointwiseFn find_pointwise_f32_math(Op op, int n_in);                              \
  PointwiseFn find_pointwise_f64(Op op, int n_in);                                   \
  /* Null when the row does not take the compute type or this number of operands. */ \
  PointwiseFn find_pointwise(Op op, ScalarType compute, int n_in);                   \
  ConvertFn find_convert(ScalarType dst, ScalarType src);                            \
  }
SINTER_DECLARE_POINTWISE_LEVEL(v2)
SINTER_DECLARE_POINTWISE_LEVEL(v3)
SINTER_DECLARE_POINTWISE_LEVEL(v4)
#undef SINTER_DECLARE_POINTWISE_LEVEL

}  // namespace sinter
