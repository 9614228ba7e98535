// Scalar functions behind call1, call2 and slow_lanes: one compiled copy, used by eager kernels and generated code alike.
#pragma once
#include <cstdint>

namespace sinter::scalar_functions {

/// float32 by way of the C library's float64 function: within 0.51 ULP. For arguments beyond the polynomials' range.
float sin_f32(float x);
float cos_f32(float x);
/// C library's float64 pow rounded once to float32.
float pow_f32(float x, float y);
/// x * Phi(x) and its derivative; Phi by erfc, so the negative tail keeps its relative accuracy.
double gelu_f64(double x);
double gelu_grad_f64(double x);
double silu_f64(double x);
double sigmoid_f64(double x);

/// Python's floor division and modulo as PyTorch computes them for floating operands (div_floor, remainder).
float floor_divide_f32(float a, float b);
double floor_divide_f64(double a, double b);
float remainder_f32(float a, float b);
double remainder_f64(double a, double b);

/// Wrapping; a zero divisor gives 0 here (the operator's value check refuses it before).
int64_t div_trunc_i64(int64_t a, int64_t b);
int64_t floor_divide_i64(int64_t a, int64_t b);
int64_t remainder_i64(int64_t a, int64_t b);
/// By squaring, wrapping. Negative exponents: 1 and -1 keep their powers, everything else gives 0, as PyTorch.
int64_t pow_i64(int64_t x, int64_t n);

}  // namespace sinter::scalar_functions
