// Softmax, log-softmax and their gradients over dense rows and columns.
#include "reduce_kernels.h"
#include "softmax_kernels.h"
#include "softmax_row.h"

namespace sinter::SINTER_LEVEL::lanes {
namespace {

template <class T>
void softmax_rows(const T* x, const T*, T* out, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, x += n, out += n) softmax_row(x, row_max(x, n), out, n);
}

template <class T>
void log_softmax_rows(const T* x, const T*, T* out, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, x += n, out += n) {
    const Vec<T> m = splat<T>(row_max(x, n));
    const T s = sum_row<T>(
        n, nullptr, [&](Vec<T> v) SINTER_INLINE_LAMBDA { return exp_lanes(v - m); }, x);
    const Vec<T> l = log_lanes(splat<T>(s));
    map_lanes(
        n, out, [&](Vec<T> v) SINTER_INLINE_LAMBDA { return (v - m) - l; }, x);
  }
}

template <class T>
void softmax_backward_rows(const T* g, const T* y, T* out, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, g += n, y += n, out += n) {
    const T sum = sum_row<T>(
        n, nullptr, [](Vec<T> u, Vec<T> v) SINTER_INLINE_LAMBDA { return u * v; }, g, y);
    const Vec<T> s = splat<T>(sum);
    map_lanes(
        n, out, [&](Vec<T> u, Vec<T> v) SINTER_INLINE_LAMBDA { return v * (u - s); }, g, y);
  }
}

template <class T>
void log_softmax_backward_rows(const T* g, const T* y, T* out, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, g += n, y += n, out += n) {
    const T sum = sum_row<T>(
        n, nullptr, [](Vec<T> u) SINTER_INLINE_LAMBDA { return u; }, g);
    const Vec<T> s = splat<T>(sum);
    map_lanes(
        n, out, [&](Vec<T> u, Vec<T> v) SINTER_INLINE_LAMBDA { return u - exp_lanes(v) * s; }, g, y);
  }
}

template <class T>
const ReduceKernels<T>& reduce_table();
template <>
const ReduceKernels<float>& reduce_table<float>() {
  return kReduceFloat;
}
template <>
const ReduceKernels<double>& reduce_table<double>() {
  return kReduceDouble;
}

/// temp[0, width) = max; out = exp(x - max); temp[width, 2 * width) = sum of out.
template <class T>
void exp_columns(const T* x, T* out, int64_t n, int64_t width, int64_t stride, T* temp) {
  reduce_table<T>().max_columns(x, n, width, stride, temp);
  for (int64_t r = 0; r < n; ++r)
    map_lanes(
        width, out + r * stride, [](Vec<T> v, Vec<T> m) SINTER_INLINE_LAMBDA { return exp_lanes(v - m); }, x + r * stride, temp);
  reduce_table<T>().sum_columns(out, n, width, stride, temp + width);
}

template <class T>
void softmax_columns(const T* x, const T*, T* out, int64_t n, int64_t width, int64_t stride, T* temp) {
  exp_columns(x, out, n, width, stride, temp);
  T* inverse = temp + width;
  for (int64_t c = 0; c < width; ++c) inverse[c] = T(1) / inverse[c];
  for (int64_t r = 0; r < n; ++r, out += stride)
    map_lanes(
        width, out, [](Vec<T> e, Vec<T> i) SINTER_INLINE_LAMBDA { return e * i; }, out, inverse);
}

template <class T>
void log_softmax_columns(const T* x, const T*, T* out, int64_t n, int64_t width, int64_t stride, T* temp) {
  exp_columns(x, out, n, width, stride, temp);
  T* log = temp + width;
  map_lanes(
      width, log, [](Vec<T> s) SINTER_INLINE_LAMBDA { return log_lanes(s); }, log);
  for (int64_t r = 0; r < n; ++r)
    map_lanes(
        width, out + r * stride, [](Vec<T> v, Vec<T> m, Vec<T> l) SINTER_INLINE_LAMBDA { return (v - m) - l; }, x + r * stride,
        temp, log);
}

template <class T>
void softmax_backward_columns(const T* g, const T* y, T* out, int64_t n, int64_t width, int64_t stride, T* temp) {
  for (int64_t r = 0; r < n; ++r)
    map_lanes(
        width, out + r * stride, [](Vec<T> u, Vec<T> v) SINTER_INLINE_LAMBDA { return u * v; }, g + r * stride, y + r * stride);
  reduce_table<T>().sum_columns(out, n, width, stride, temp);
  for (int64_t r = 0; r < n; ++r)
    map_lanes(
        width, out + r * stride, [](Vec<T> u, Vec<T> v, Vec<T> s) SINTER_INLINE_LAMBDA { return v * (u - s); }, g + r * stride,
        y + r * stride, temp);
}

template <class T>
void log_softmax_backward_columns(const T* g, const T* y, T* out, int64_t n, int64_t width, int64_t stride, T* temp) {
  reduce_table<T>().sum_columns(g, n, width, stride, temp);
  for (int64_t r = 0; r < n; ++r)
    map_lanes(
        width, out + r * stride, [](Vec<T> u, Vec<T> v, Vec<T> s) SINTER_INLINE_LAMBDA { return u - exp_lanes(v) * s; },
        g + r * stride, y + r * stride, temp);
}

template <class T>
constexpr SoftmaxKernels<T> table() {
  return {{softmax_rows<T>, log_softmax_rows<T>, softmax_backward_rows<T>, log_softmax_backward_rows<T>},
          {softmax_columns<T>, log_softmax_columns<T>, softmax_backward_columns<T>, log_softmax_backward_columns<T>}};
}

}  // namespace
}  // namespace sinter::SINTER_LEVEL::lanes

namespace sinter::SINTER_LEVEL {

extern constexpr SoftmaxKernels<float> kSoftmaxFloat = lanes::table<float>();
extern constexpr SoftmaxKernels<double> kSoftmaxDouble = lanes::table<double>();

}  // namespace sinter::SINTER_LEVEL
