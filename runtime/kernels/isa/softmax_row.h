// Softmax of one dense row, shared by softmax and attention. Included only by files of this folder (see lanes.h).
#pragma once
#include "functions.h"
#include "lanes.h"

namespace sinter::SINTER_LEVEL::lanes {

#define SINTER_INLINE_LAMBDA __attribute__((always_inline))

template <class T>
[[gnu::always_inline]] inline T row_max(const T* x, int64_t n) {
  return reduce_lanes<T, MaxStep<T>>(
      n, static_cast<T*>(nullptr), [](Vec<T> v) SINTER_INLINE_LAMBDA { return v; }, x);
}

/// Sum of f(in[i]...) in row order; `keep` non-null: the values are stored there.
template <class T, class F, class... Ptr>
[[gnu::always_inline]] inline T sum_row(int64_t n, T* keep, F f, const Ptr*... in) {
  return reduce_lanes<T, SumStep<T>>(n, keep, f, in...);
}

/// out = softmax(x), where `max` is the greatest element; out may be x.
template <class T>
[[gnu::always_inline]] inline void softmax_row(const T* x, T max, T* out, int64_t n) {
  const Vec<T> m = splat<T>(max);
  const T s = sum_row(
      n, out, [&](Vec<T> v) SINTER_INLINE_LAMBDA { return exp_lanes(v - m); }, x);
  const Vec<T> inverse = splat<T>(T(1) / s);
  map_lanes(
      n, out, [&](Vec<T> e) SINTER_INLINE_LAMBDA { return e * inverse; }, out);
}

}  // namespace sinter::SINTER_LEVEL::lanes
