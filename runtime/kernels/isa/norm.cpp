// Layer normalisation over dense rows.
#include "functions.h"
#include "lanes.h"
#include "norm_kernels.h"

namespace sinter::SINTER_LEVEL::lanes {
namespace {

#define SINTER_INLINE_LAMBDA __attribute__((always_inline))

/// Sum of f(in[i]...) in row order.
template <class T, class F, class... Ptr>
[[gnu::always_inline]] inline T sum_row(int64_t n, F f, const Ptr*... in) {
  return reduce_lanes<T, SumStep<T>>(n, static_cast<T*>(nullptr), f, in...);
}

template <class T>
struct RowStats {
  Vec<T> mean, rstd;
};

template <class T>
RowStats<T> row_stats(const T* x, T eps, int64_t n) {
  const T mean = sum_row<T>(
                     n, [](Vec<T> v) SINTER_INLINE_LAMBDA { return v; }, x) /
                 static_cast<T>(n);
  const Vec<T> mu = splat<T>(mean);
  const auto square = [&](Vec<T> v) SINTER_INLINE_LAMBDA {
    const Vec<T> d = v - mu;
    return d * d;
  };
  const T var = sum_row<T>(n, square, x) / static_cast<T>(n);
  return {mu, rsqrt_lanes(splat<T>(var + eps))};
}

template <class T>
void forward(const T* x, const T* weight, const T* bias, T eps, T* out, int64_t m, int64_t n) {
  for (int64_t r = 0; r < m; ++r, x += n, out += n) {
    const RowStats<T> s = row_stats(x, eps, n);
    const auto hat = [&](Vec<T> v) SINTER_INLINE_LAMBDA { return (v - s.mean) * s.rstd; };
    if (weight && bias) {
      map_lanes(
          n, out, [&](Vec<T> v, Vec<T> w, Vec<T> b) SINTER_INLINE_LAMBDA { return hat(v) * w + b; }, x, weight, bias);
    } else if (weight) {
      map_lanes(
          n, out, [&](Vec<T> v, Vec<T> w) SINTER_INLINE_LAMBDA { return hat(v) * w; }, x, weight);
    } else if (bias) {
      map_lanes(
          n, out, [&](Vec<T> v, Vec<T> b) SINTER_INLINE_LAMBDA { return hat(v) + b; }, x, bias);
    } else {
      map_lanes(n, out, hat, x);
    }
  }
}

/// dx of one row; gw(i-th operands) = grad times weight, or grad.
template <class T, class Gw, class... Ptr>
[[gnu::always_inline]] inline void input_row(const T* x, T eps, T* out, int64_t n, Gw gw, const Ptr*... g) {
  const RowStats<T> s = row_stats(x, eps, n);
  const Vec<T> a = splat<T>(sum_row<T>(n, gw, g...) / static_cast<T>(n));
  const auto product = [&](Vec<T> v, auto... u) SINTER_INLINE_LAMBDA { return gw(u...) * ((v - s.mean) * s.rstd); };
  const Vec<T> b = splat<T>(sum_row<T>(n, product, x, g...) / static_cast<T>(n));
  const auto result = [&](Vec<T> v, auto... u)
                          SINTER_INLINE_LAMBDA { return ((gw(u...) - a) - ((v - s.mean) * s.rstd) * b) * s.rstd; };
  map_lanes(n, out, result, x, g...);
}

template <class T>
void backward_input(const T* grad, const T* x, const T* weight, T eps, T* out, int64_t m, int64_t n) {
  for (int64_t r = 0; r < m; ++r, grad += n, x += n, out += n) {
    if (weight)
      input_row(
          x, eps, out, n, [](Vec<T> g, Vec<T> w) SINTER_INLINE_LAMBDA { return g * w; }, grad, weight);
    else
      input_row(
          x, eps, out, n, [](Vec<T> g) SINTER_INLINE_LAMBDA { return g; }, grad);
  }
}

template <class T>
void backward_weight(const T* grad, const T* x, T eps, T* out, int64_t m, int64_t n, T* temp) {
  const bool one_column = n == 1, one_row = m == 1;
  const int64_t block = reduce_block_steps_of(m);
  const bool two = m > block;
  // Columns: temp is acc0 and out acc1 (one level: out is acc0). A single column is a row of m products.
  T* acc = two ? temp : out;
  if (!one_column && !one_row)
    for (int64_t c = 0; c < n; ++c) acc[c] = out[c] = 0;
  const auto add = [](Vec<T> sum, Vec<T> part) SINTER_INLINE_LAMBDA { return sum + part; };
  for (int64_t r = 0; r < m; ++r, grad += n, x += n) {
    const RowStats<T> s = row_stats(x, eps, n);
    const auto product = [&](Vec<T> g, Vec<T> v) SINTER_INLINE_LAMBDA { return g * ((v - s.mean) * s.rstd); };
    if (one_row || one_column) {
      map_lanes(n, one_row ? out : temp + r, product, grad, x);
      continue;
    }
    map_lanes(
        n, acc, [&](Vec<T> sum, Vec<T> g, Vec<T> v) SINTER_INLINE_LAMBDA { return sum + product(g, v); }, acc, grad, x);
    if (two && ((r + 1) % block == 0 || r + 1 == m)) {
      map_lanes(n, out, add, out, acc);
      for (int64_t c = 0; c < n; ++c) acc[c] = 0;
    }
  }
  if (one_column && !one_row)
    *out = sum_row<T>(
        m, [](Vec<T> v) SINTER_INLINE_LAMBDA { return v; }, temp);
}

template <class T>
constexpr NormKernels<T> table() {
  return {forward<T>, backward_input<T>, backward_weight<T>};
}

}  // namespace
}  // namespace sinter::SINTER_LEVEL::lanes

namespace sinter::SINTER_LEVEL {

extern constexpr NormKernels<float> kNormFloat = lanes::table<float>();
extern constexpr NormKernels<double> kNormDouble = lanes::table<double>();

}  // namespace sinter::SINTER_LEVEL
