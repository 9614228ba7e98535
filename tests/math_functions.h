// The float32 functions of runtime/math with their references in float64 and their bounds (in ULP), and how an error is measured.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include "runtime/ops/ops.h"

namespace sinter::test {

struct MathFunction {
  Op op;
  double (*reference)(double);
  double bound;  // ULP
  bool odd = false, even = false;
};

inline double rsqrt_reference(double x) { return 1 / std::sqrt(x); }
inline double sigmoid_reference(double x) { return x < -700 ? 0 : 1 / (1 + std::exp(-x)); }
inline double silu_reference(double x) { return x < -700 ? -0.0 : x / (1 + std::exp(-x)); }
inline double gelu_reference(double x) { return x < -40 ? -0.0 : x * (0.5 * std::erfc(-x / std::sqrt(2.0))); }

inline constexpr MathFunction kMathFunctions[] = {
    {Op::exp, std::exp, 1.0},
    {Op::log, std::log, 1.0},
    {Op::log1p, std::log1p, 1.5},
    {Op::sin, std::sin, 1.5, true},
    {Op::cos, std::cos, 1.5, false, true},
    {Op::tanh, std::tanh, 2.0, true},
    {Op::sigmoid, sigmoid_reference, 2.5},
    {Op::silu, silu_reference, 4},
    {Op::erf, std::erf, 1.5, true},
    {Op::gelu, gelu_reference, 8},
    {Op::rsqrt, rsqrt_reference, 1.0},
};

/// Distance in units of the last place of the exact result (of the smallest subnormal below the normal range).
inline double ulp_error(float got, double exact) {
  const float rounded = static_cast<float>(exact);
  if (std::isnan(exact)) return std::isnan(got) ? 0 : INFINITY;
  if (std::isnan(got)) return INFINITY;
  if (std::isinf(exact)) return got == rounded ? 0 : INFINITY;
  if (std::isinf(got) || std::isinf(rounded)) return std::isinf(rounded) || std::fabs(exact) > 3.4028234e38 ? 0 : INFINITY;
  int exponent;
  std::frexp(exact, &exponent);
  return std::fabs(got - exact) / std::ldexp(1.0, std::max(exponent, -125) - 24);
}

/// Equal bits, or both NaN.
inline bool same_value(float a, float b) { return std::memcmp(&a, &b, 4) == 0 || (std::isnan(a) && std::isnan(b)); }

}  // namespace sinter::test
