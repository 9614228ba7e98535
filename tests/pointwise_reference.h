// Scalar references of the pointwise rows, written apart from the kernels.
#pragma once
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include "runtime/ops/pointwise.h"

namespace sinter::pointwise_reference {

// -- references, one element in C++ type T

template <class T>
T floored_mod(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    const T m = a % b;
    return m != 0 && (m < 0) != (b < 0) ? m + b : m;
  } else {
    const T m = std::fmod(a, b);
    return m != 0 && (m < 0) != (b < 0) ? m + b : m;
  }
}
template <class T>
T floored_div(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return (a - floored_mod(a, b)) / b;
  } else {
    if (b == 0) return a / b;
    T mod = std::fmod(a, b), div = (a - mod) / b;
    if (mod != 0 && (b < 0) != (mod < 0)) div -= 1;
    if (div == 0) return std::copysign(T(0), a / b);
    return div - std::floor(div) > T(0.5) ? std::floor(div) + 1 : std::floor(div);
  }
}
template <class T>
bool is_nan(T v) {
  return v != v;
}
template <class T>
T largest(T a, T b) {
  return is_nan(a) ? a : is_nan(b) ? b : a > b ? a : b;
}
template <class T>
T smallest(T a, T b) {
  return is_nan(a) ? a : is_nan(b) ? b : a < b ? a : b;
}

inline double silu_of(double x) {
  return x < -2000 ? -0.0 : static_cast<double>(x / (1 + std::exp(-static_cast<long double>(x))));
}
inline double gelu_of(double x) { return x < -40 ? -0.0 : x * (0.5 * std::erfc(-x / std::sqrt(2.0))); }
inline double gelu_slope(double x) {
  if (std::isinf(x)) return x > 0;
  return 0.5 * std::erfc(-x / std::sqrt(2.0)) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * M_PI);
}

template <class T>
T whole_power(T x, int64_t n) {
  T r = 1;
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_integral_v<T>) r = static_cast<T>(static_cast<uint64_t>(r) * static_cast<uint64_t>(x));
    else r *= x;
  }
  return r;
}
template <class T>
double power(T x, double e) {
  if constexpr (std::is_integral_v<T>) {
    if (e >= 0) return static_cast<double>(whole_power(x, static_cast<int64_t>(e)));
    if (x == 1) return 1;
    return x == -1 ? (static_cast<int64_t>(e) % 2 ? -1 : 1) : 0;
  } else {
    if (e == 2) return x * x;
    if (e == 3) return x * x * x;
    if (e == 0.5) return std::sqrt(x);
    if (e == -0.5) return 1 / std::sqrt(static_cast<double>(x));
    if (e == -1) return T(1) / x;
    if (e == -2) return T(1) / (x * x);
    return std::pow(static_cast<double>(x), e);
  }
}

template <class T>
double unary(Op op, uint64_t attr, T x) {
  const double d = static_cast<double>(x);
  switch (op) {
    case Op::pow:
      return power(x, std::bit_cast<double>(attr));
    case Op::logical_not:
      return !x;
    case Op::neg:
      return static_cast<double>(-x);
    case Op::abs:
      return std::fabs(d);
    case Op::sign:
      return (d > 0) - (d < 0);
    case Op::exp:
      return std::exp(d);
    case Op::log:
      return std::log(d);
    case Op::log1p:
      return std::log1p(d);
    case Op::sqrt:
      return static_cast<double>(static_cast<T>(std::sqrt(d)));
    case Op::rsqrt:
      return 1 / std::sqrt(d);
    case Op::reciprocal:
      return static_cast<double>(static_cast<T>(1 / d));
    case Op::sin:
      return std::sin(d);
    case Op::cos:
      return std::cos(d);
    case Op::tanh:
      return std::tanh(d);
    case Op::sigmoid:
      return d > 0 ? 1 / (1 + std::exp(-d)) : std::exp(d) / (1 + std::exp(d));
    case Op::erf:
      return std::erf(d);
    case Op::relu:
      return std::isnan(d) ? d : d > 0 ? d : (d == 0 ? d : 0);
    case Op::silu:
      return silu_of(d);
    case Op::gelu:
      return gelu_of(d);
    default:
      FAIL("no reference for " << op_info(op).name);
      return 0;
  }
}

template <class T>
T binary(Op op, uint64_t attr, T x, T y) {
  switch (op) {
    case Op::add:
      return static_cast<T>(x + y);
    case Op::sub:
      return static_cast<T>(x - y);
    case Op::mul:
      return static_cast<T>(x * y);
    case Op::div:
      return static_cast<T>(x / y);
    case Op::div_trunc:
      return std::is_integral_v<T> ? static_cast<T>(x / y) : static_cast<T>(std::trunc(x / y));
    case Op::floor_divide:
      return floored_div(x, y);
    case Op::remainder:
      return floored_mod(x, y);
    case Op::minimum:
      return smallest(x, y);
    case Op::maximum:
      return largest(x, y);
    case Op::pow:
      return static_cast<T>(std::is_integral_v<T> ? power(x, static_cast<double>(y))
                                                  : std::pow(static_cast<double>(x), static_cast<double>(y)));
    case Op::eq:
      return x == y;
    case Op::ne:
      return x != y;
    case Op::lt:
      return x < y;
    case Op::le:
      return x <= y;
    case Op::gt:
      return x > y;
    case Op::ge:
      return x >= y;
    case Op::logical_and:
      return x != 0 && y != 0;
    case Op::logical_or:
      return x != 0 || y != 0;
    case Op::logical_xor:
      return (x != 0) != (y != 0);
    case Op::clamp:
      return attr == kClampMin ? largest(x, y) : smallest(x, y);
    case Op::sigmoid_backward:
      return x * (1 - y) * y;
    case Op::tanh_backward:
      return x * (1 - y * y);
    case Op::threshold_backward:
      return y <= 0 ? T(0) : x;
    case Op::gelu_backward:
      return x * static_cast<T>(gelu_slope(static_cast<double>(y)));
    default:
      FAIL("no reference for " << op_info(op).name);
      return 0;
  }
}

template <class T>
T many(Op op, const T* v, int n) {
  switch (op) {
    case Op::add:
      return static_cast<T>(v[0] + static_cast<T>(v[1] * v[2]));
    case Op::sub:
      return static_cast<T>(v[0] - static_cast<T>(v[1] * v[2]));
    case Op::where:
      return v[0] != 0 ? v[1] : v[2];
    case Op::clamp:
      return smallest(largest(v[0], v[1]), v[2]);
    case Op::addcmul:
      return static_cast<T>(v[0] + (n == 4 ? v[3] * v[1] * v[2] : v[1] * v[2]));
    case Op::addcdiv:
      return static_cast<T>(v[0] + (n == 4 ? v[3] * v[1] / v[2] : v[1] / v[2]));
    default:
      FAIL("no reference for " << op_info(op).name);
      return 0;
  }
}

template <class T>
double reference_of(Op op, uint64_t attr, const double* v, int n) {
  T x[4] = {};
  for (int i = 0; i < n; ++i) x[i] = static_cast<T>(v[i]);
  if (n == 1) return unary<T>(op, attr, x[0]);
  if (n == 2) return static_cast<double>(binary<T>(op, attr, x[0], x[1]));
  return static_cast<double>(many<T>(op, x, n));
}
inline double reference(Op op, ScalarType t, uint64_t attr, const double* v, int n) {
  switch (t) {
    case ScalarType::Bool:
      return reference_of<int64_t>(op, attr, v, n) != 0;
    case ScalarType::Long:
      return reference_of<int64_t>(op, attr, v, n);
    case ScalarType::Float:
      return reference_of<float>(op, attr, v, n);
    default:
      return reference_of<double>(op, attr, v, n);
  }
}

/// ULP allowed against the float64 reference: 0 where the operation is exact or correctly rounded.
inline double tolerance(Op op, ScalarType t) {
  switch (op) {
    case Op::exp:
    case Op::log:
    case Op::log1p:
    case Op::sin:
    case Op::cos:
    case Op::erf:
    case Op::rsqrt:
      return t == kFloat ? 1.5 : 1;
    case Op::tanh:
      return 2;
    case Op::sigmoid:
      return 2.5;
    case Op::silu:
      return 4;
    case Op::pow:
      return 2;
    case Op::gelu:
      return t == kFloat ? 8 : 64;  // float64: erfc magnifies the rounding of its argument
    default:
      return 0;
  }
}

/// `scale`: the first operand; gelu's derivative has a zero, so its error counts against the gradient it multiplies.
inline bool close(Op op, ScalarType t, double got, double want, double scale) {
  if (std::isnan(got) || std::isnan(want)) return std::isnan(got) && std::isnan(want);
  const double rounded = t == kFloat ? static_cast<double>(static_cast<float>(want)) : want;
  if (got == rounded) return true;
  if (op == Op::gelu_backward) return std::fabs(got - rounded) <= 3e-7 * std::fabs(scale) + 1e-44;
  int exponent;
  std::frexp(rounded, &exponent);
  const double unit =
      t == kFloat ? std::ldexp(1.0, std::max(exponent, -125) - 24) : std::ldexp(1.0, std::max(exponent, -1021) - 53);
  return std::fabs(got - want) <= tolerance(op, t) * unit;
}

}  // namespace sinter::pointwise_reference
