#include "scalar_functions.h"
#include <cmath>

namespace sinter::scalar_functions {

float sin_f32(float x) { return static_cast<float>(std::sin(static_cast<double>(x))); }
float cos_f32(float x) { return static_cast<float>(std::cos(static_cast<double>(x))); }
float pow_f32(float x, float y) { return static_cast<float>(std::pow(static_cast<double>(x), static_cast<double>(y))); }

namespace {
constexpr double kSqrtHalf = 0.70710678118654752440;    // 1 / sqrt(2)
constexpr double kInvSqrt2Pi = 0.39894228040143267794;  // 1 / sqrt(2 pi)

template <class T>
T floor_divide(T a, T b) {
  if (b == 0) return a / b;
  const T mod = std::fmod(a, b);
  T div = (a - mod) / b;
  if (mod != 0 && (b < 0) != (mod < 0)) div -= 1;
  if (div == 0) return std::copysign(T(0), a / b);
  const T floored = std::floor(div);
  return div - floored > T(0.5) ? floored + 1 : floored;
}

template <class T>
T remainder(T a, T b) {
  const T mod = std::fmod(a, b);
  return mod != 0 && (b < 0) != (mod < 0) ? mod + b : mod;
}

int64_t negate(int64_t a) { return static_cast<int64_t>(-static_cast<uint64_t>(a)); }
}  // namespace

// Beyond |x| = 40 both are at their limits; the test keeps 0 * inf out.
double gelu_f64(double x) {
  if (x < -40) return 0.0;
  return x * (0.5 * std::erfc(-x * kSqrtHalf));
}
double gelu_grad_f64(double x) {
  if (std::fabs(x) > 40) return x > 0 ? 1.0 : 0.0;
  return 0.5 * std::erfc(-x * kSqrtHalf) + x * (kInvSqrt2Pi * std::exp(-0.5 * x * x));
}
double silu_f64(double x) {
  if (x < -760) return -0.0;
  const double e = std::exp(-std::fabs(x));
  if (x < -700) return x * std::exp(x / 2) * std::exp(x / 2);  // e^x may be subnormal, where x e^x is not
  return (x < 0 ? x * e : x) / (1.0 + e);
}
double sigmoid_f64(double x) {
  const double e = std::exp(-std::fabs(x));
  return (x < 0 ? e : 1.0) / (1.0 + e);
}

float floor_divide_f32(float a, float b) { return floor_divide(a, b); }
double floor_divide_f64(double a, double b) { return floor_divide(a, b); }
float remainder_f32(float a, float b) { return remainder(a, b); }
double remainder_f64(double a, double b) { return remainder(a, b); }

int64_t div_trunc_i64(int64_t a, int64_t b) {
  if (b == 0) return 0;
  return b == -1 ? negate(a) : a / b;  // INT64_MIN / -1 traps
}
int64_t floor_divide_i64(int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return negate(a);
  const int64_t q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}
int64_t remainder_i64(int64_t a, int64_t b) {
  if (b == 0 || b == -1) return 0;
  const int64_t m = a % b;
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}
int64_t pow_i64(int64_t x, int64_t n) {
  if (n < 0) {
    if (x == 1) return 1;
    if (x == -1) return n % 2 == 0 ? 1 : -1;
    return 0;
  }
  uint64_t result = 1, base = static_cast<uint64_t>(x);
  for (uint64_t e = static_cast<uint64_t>(n); e != 0; e >>= 1) {
    if (e & 1) result *= base;
    base *= base;
  }
  return static_cast<int64_t>(result);
}

}  // namespace sinter::scalar_functions
