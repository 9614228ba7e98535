// The scalar expression of every Pointwise row of ops.def, written once over a builder (math/builder.h).
//
// Ops<T>::name(b, attr, operands...) is the expression of row `name` in compute type T. Operands are the call's tensors
// in order with its value scalars put in place: kScalarRhs (x, s), kScalarLhs (s, x), then alpha or value, the bounds of
// clamp (low first). All are already of type T, except: where's condition is a mask, logical operators take T = Bool.
// Comparisons and logical operators give a mask (T = Bool: a Bool value), all others a value of type T.
#pragma once
#include <bit>
#include <cmath>
#include "../math/erf.h"
#include "../math/exp.h"
#include "../math/log.h"
#include "../math/rsqrt.h"
#include "../math/scalar_functions.h"
#include "../math/tanh.h"
#include "../math/trig.h"
#include "ops.h"

namespace sinter {

/// Whether a row has an expression in compute type `t` (dtype errors are infer's business).
constexpr bool pointwise_takes(Op op, ScalarType t) {
  switch (op) {
    case Op::div:
    case Op::exp:
    case Op::log:
    case Op::log1p:
    case Op::sqrt:
    case Op::rsqrt:
    case Op::reciprocal:
    case Op::sin:
    case Op::cos:
    case Op::tanh:
    case Op::sigmoid:
    case Op::erf:
    case Op::silu:
    case Op::gelu:
    case Op::addcdiv:
    case Op::sigmoid_backward:
    case Op::tanh_backward:
    case Op::gelu_backward:
      return is_floating(t);
    case Op::logical_and:
    case Op::logical_or:
    case Op::logical_xor:
    case Op::logical_not:
      return t == ScalarType::Bool;
    case Op::sub:
    case Op::div_trunc:
    case Op::floor_divide:
    case Op::remainder:
    case Op::pow:
    case Op::neg:
    case Op::abs:
    case Op::relu:
    case Op::clamp:
    case Op::addcmul:
    case Op::threshold_backward:
      return t != ScalarType::Bool && t != ScalarType::Undefined;
    case Op::add:
    case Op::mul:
    case Op::minimum:
    case Op::maximum:
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le:
    case Op::gt:
    case Op::ge:
    case Op::sign:
    case Op::where:
      return t != ScalarType::Undefined;
    default:
      return false;
  }
}

/// Whether generated code may contain the row: all but integer division and power, which stay with the eager kernels.
constexpr bool emittable(Op op, ScalarType t) {
  const bool division = op == Op::div_trunc || op == Op::floor_divide || op == Op::remainder || op == Op::pow;
  return pointwise_takes(op, t) && !(division && t == ScalarType::Long);
}

/// Whether the row's result is Bool whatever the compute type.
constexpr bool pointwise_gives_bool(Op op) { return op >= Op::eq && op <= Op::logical_not; }

/// Bits of clamp's attr.
inline constexpr uint64_t kClampMin = 1, kClampMax = 2;

namespace math {

/// NaN if either is NaN; of two zeros the second operand.
template <class B, class V>
SINTER_MATH_INLINE V maximum_nan(B& b, V x, V y) {
  return b.select(b.ne(x, x), x, b.max_x86(x, y));
}
template <class B, class V>
SINTER_MATH_INLINE V minimum_nan(B& b, V x, V y) {
  return b.select(b.ne(x, x), x, b.min_x86(x, y));
}

}  // namespace math

template <ScalarType T>
struct Ops {
  static constexpr bool kIsBool = T == ScalarType::Bool, kIsLong = T == ScalarType::Long;
  static constexpr bool kIsFloat32 = T == ScalarType::Float, kIsDouble = T == ScalarType::Double;
  static constexpr bool kIsFloating = kIsFloat32 || kIsDouble;

#define SINTER_EXPR(name, ...) \
  template <class B, class V>  \
  static SINTER_MATH_INLINE auto name(B& b, [[maybe_unused]] uint64_t attr, __VA_ARGS__)
#define SINTER_EXPR1(name) SINTER_EXPR(name, V x)
#define SINTER_EXPR2(name) SINTER_EXPR(name, V x, V y)
#define SINTER_EXPR3(name) SINTER_EXPR(name, V x, V y, V z)
#define SINTER_EXPR4(name) SINTER_EXPR(name, V x, V y, V z, V w)

  // -- arithmetic
  SINTER_EXPR2(add) {
    if constexpr (kIsBool) return b.mask_or(x, y);
    else return b.add(x, y);
  }
  SINTER_EXPR3(add) { return add(b, attr, x, mul(b, attr, z, y)); }  // z = alpha; two roundings, as eager PyTorch
  SINTER_EXPR2(sub) { return b.sub(x, y); }
  SINTER_EXPR3(sub) { return b.sub(x, mul(b, attr, z, y)); }
  SINTER_EXPR2(mul) {
    if constexpr (kIsBool) return b.mask_and(x, y);
    else return b.mul(x, y);
  }
  SINTER_EXPR2(div) { return b.div(x, y); }
  SINTER_EXPR2(div_trunc) {
    if constexpr (kIsLong) return b.call2(x, y, &scalar_functions::div_trunc_i64);
    else return b.trunc(b.div(x, y));
  }
  SINTER_EXPR2(floor_divide) {
    if constexpr (kIsLong) return b.call2(x, y, &scalar_functions::floor_divide_i64);
    else if constexpr (kIsFloat32) return b.call2(x, y, &scalar_functions::floor_divide_f32);
    else return b.call2(x, y, &scalar_functions::floor_divide_f64);
  }
  SINTER_EXPR2(remainder) {
    if constexpr (kIsLong) return b.call2(x, y, &scalar_functions::remainder_i64);
    else if constexpr (kIsFloat32) return b.call2(x, y, &scalar_functions::remainder_f32);
    else return b.call2(x, y, &scalar_functions::remainder_f64);
  }
  SINTER_EXPR2(minimum) {
    if constexpr (kIsBool) return b.mask_and(x, y);
    else if constexpr (kIsLong) return b.select(b.lt(x, y), x, y);
    else return math::minimum_nan(b, x, y);
  }
  SINTER_EXPR2(maximum) {
    if constexpr (kIsBool) return b.mask_or(x, y);
    else if constexpr (kIsLong) return b.select(b.gt(x, y), x, y);
    else return math::maximum_nan(b, x, y);
  }
  SINTER_EXPR2(pow) {
    if constexpr (kIsLong) return b.call2(x, y, &scalar_functions::pow_i64);
    else if constexpr (kIsFloat32) return b.call2(x, y, &scalar_functions::pow_f32);
    else return b.call2(x, y, static_cast<double (*)(double, double)>(&std::pow));
  }
  /// attr = bits of the exponent (double). Simple exponents take the formulas PyTorch takes.
  SINTER_EXPR1(pow) {
    const double exponent = std::bit_cast<double>(attr);
    if (exponent == 2) return b.mul(x, x);
    if (exponent == 1) return x;
    if (exponent == 3) return b.mul(b.mul(x, x), x);
    if (exponent == 0) return b.template k<T>(1);
    if constexpr (kIsFloating) {
      if (exponent == 0.5) return b.sqrt(x);
      if (exponent == -0.5) return rsqrt(b, 0, x);
      if (exponent == -1) return b.div(b.template k<T>(1), x);
      if (exponent == -2) return b.div(b.template k<T>(1), b.mul(x, x));
    }
    return pow(b, 0, x, b.template k<T>(exponent));
  }

  // -- comparisons: masks
  SINTER_EXPR2(eq) {
    if constexpr (kIsBool) return b.mask_not(b.mask_xor(x, y));
    else return b.eq(x, y);
  }
  SINTER_EXPR2(ne) {
    if constexpr (kIsBool) return b.mask_xor(x, y);
    else return b.ne(x, y);
  }
  SINTER_EXPR2(lt) {
    if constexpr (kIsBool) return b.mask_and(b.mask_not(x), y);
    else return b.lt(x, y);
  }
  SINTER_EXPR2(le) {
    if constexpr (kIsBool) return b.mask_or(b.mask_not(x), y);
    else return b.le(x, y);
  }
  SINTER_EXPR2(gt) {
    if constexpr (kIsBool) return b.mask_and(x, b.mask_not(y));
    else return b.gt(x, y);
  }
  SINTER_EXPR2(ge) {
    if constexpr (kIsBool) return b.mask_or(x, b.mask_not(y));
    else return b.ge(x, y);
  }
  SINTER_EXPR2(logical_and) { return b.mask_and(x, y); }
  SINTER_EXPR2(logical_or) { return b.mask_or(x, y); }
  SINTER_EXPR2(logical_xor) { return b.mask_xor(x, y); }
  SINTER_EXPR1(logical_not) { return b.mask_not(x); }

  // -- unary
  SINTER_EXPR1(neg) {
    if constexpr (kIsLong) return b.sub(b.template k<T>(0), x);
    else return b.neg(x);
  }
  SINTER_EXPR1(abs) {
    if constexpr (kIsLong) {
      auto zero = b.template k<T>(0);
      return b.select(b.lt(x, zero), b.sub(zero, x), x);
    } else {
      return b.abs(x);
    }
  }
  /// NaN gives 0, as PyTorch's (0 < x) - (x < 0).
  SINTER_EXPR1(sign) {
    if constexpr (kIsBool) {
      return x;
    } else {
      auto zero = b.template k<T>(0);
      return b.select(b.gt(x, zero), b.template k<T>(1), b.select(b.lt(x, zero), b.template k<T>(-1), zero));
    }
  }
#define SINTER_FLOAT_FUNCTION(name, f32_expr, f64_expr) \
  SINTER_EXPR1(name) {                                  \
    if constexpr (kIsFloat32) return f32_expr;          \
    else return f64_expr;                               \
  }
#define SINTER_LIBM(name) b.call1(x, static_cast<double (*)(double)>(&std::name))
  SINTER_FLOAT_FUNCTION(exp, math::exp_f32(b, x), SINTER_LIBM(exp))
  SINTER_FLOAT_FUNCTION(log, math::log_f32(b, x), SINTER_LIBM(log))
  SINTER_FLOAT_FUNCTION(log1p, math::log1p_f32(b, x), SINTER_LIBM(log1p))
  SINTER_FLOAT_FUNCTION(sin, math::sin_f32(b, x), SINTER_LIBM(sin))
  SINTER_FLOAT_FUNCTION(cos, math::cos_f32(b, x), SINTER_LIBM(cos))
  SINTER_FLOAT_FUNCTION(tanh, math::tanh_f32(b, x), SINTER_LIBM(tanh))
  SINTER_FLOAT_FUNCTION(erf, math::erf_f32(b, x), SINTER_LIBM(erf))
  SINTER_FLOAT_FUNCTION(sigmoid, math::sigmoid_f32(b, x), b.call1(x, &scalar_functions::sigmoid_f64))
  SINTER_FLOAT_FUNCTION(silu, math::silu_f32(b, x), b.call1(x, &scalar_functions::silu_f64))
  SINTER_FLOAT_FUNCTION(gelu, math::gelu_f32(b, x), b.call1(x, &scalar_functions::gelu_f64))
  SINTER_FLOAT_FUNCTION(rsqrt, math::rsqrt_f32(b, x), b.div(b.template k<T>(1), b.sqrt(x)))
#undef SINTER_LIBM
#undef SINTER_FLOAT_FUNCTION
  SINTER_EXPR1(sqrt) { return b.sqrt(x); }
  SINTER_EXPR1(reciprocal) { return b.div(b.template k<T>(1), x); }
  /// relu(NaN) = NaN, relu(-0.0) = -0.0 (max_x86 gives its second operand in both cases).
  SINTER_EXPR1(relu) {
    if constexpr (kIsLong) return maximum(b, 0, b.template k<T>(0), x);
    else return b.max_x86(b.template k<T>(0), x);
  }

  // -- other
  template <class B, class M, class V>
  static SINTER_MATH_INLINE auto where(B& b, uint64_t, M condition, V x, V y) {
    if constexpr (kIsBool) return b.mask_or(b.mask_and(condition, x), b.mask_and(b.mask_not(condition), y));
    else return b.select(condition, x, y);
  }
  /// attr kClampMin or kClampMax: which bound y is. NaN in x or a bound gives NaN; low first, so low > high gives high.
  template <class B, class V>
  static SINTER_MATH_INLINE auto clamp(B& b, uint64_t attr, V x, V y) {
    return attr & kClampMin ? maximum(b, 0, y, x) : minimum(b, 0, y, x);
  }
  template <class B, class V>
  static SINTER_MATH_INLINE auto clamp(B& b, uint64_t, V x, V low, V high) {
    return minimum(b, 0, high, maximum(b, 0, low, x));
  }
  SINTER_EXPR3(addcmul) { return add(b, attr, x, mul(b, attr, y, z)); }
  SINTER_EXPR4(addcmul) { return b.add(x, b.mul(b.mul(w, y), z)); }  // w = value
  SINTER_EXPR3(addcdiv) { return add(b, attr, x, b.div(y, z)); }
  SINTER_EXPR4(addcdiv) { return b.add(x, b.div(b.mul(w, y), z)); }
  SINTER_EXPR2(sigmoid_backward) { return b.mul(b.mul(x, b.sub(b.template k<T>(1), y)), y); }
  SINTER_EXPR2(tanh_backward) { return b.mul(x, b.sub(b.template k<T>(1), b.mul(y, y))); }
  SINTER_EXPR2(threshold_backward) {
    auto zero = b.template k<T>(0);
    return b.select(b.le(y, zero), zero, x);
  }
  SINTER_EXPR2(gelu_backward) {
    if constexpr (kIsFloat32) return b.mul(x, math::gelu_grad_f32(b, y));
    else return b.mul(x, b.call1(y, &scalar_functions::gelu_grad_f64));
  }

#undef SINTER_EXPR
#undef SINTER_EXPR1
#undef SINTER_EXPR2
#undef SINTER_EXPR3
#undef SINTER_EXPR4
};

// Rows by number of operands, for the tables generated from them: X(name).
#define SINTER_POINTWISE_UNARY(X) \
  X(pow)                          \
  X(logical_not)                  \
  X(neg)                          \
  X(abs)                          \
  X(sign) X(exp) X(log) X(log1p) X(sqrt) X(rsqrt) X(reciprocal) X(sin) X(cos) X(tanh) X(sigmoid) X(erf) X(relu) X(silu) X(gelu)
#define SINTER_POINTWISE_BINARY(X) \
  X(add)                           \
  X(sub)                           \
  X(mul)                           \
  X(div)                           \
  X(div_trunc)                     \
  X(floor_divide)                  \
  X(remainder)                     \
  X(minimum)                       \
  X(maximum)                       \
  X(pow)                           \
  X(eq)                            \
  X(ne)                            \
  X(lt)                            \
  X(le)                            \
  X(gt)                            \
  X(ge)                            \
  X(logical_and) X(logical_or) X(logical_xor) X(clamp) X(sigmoid_backward) X(tanh_backward) X(threshold_backward) X(gelu_backward)
#define SINTER_POINTWISE_TERNARY(X) X(add) X(sub) X(where) X(clamp) X(addcmul) X(addcdiv)
#define SINTER_POINTWISE_QUATERNARY(X) X(addcmul) X(addcdiv)

namespace detail {
template <ScalarType T, class B>
typename B::V pointwise_of_type(B& b, Op op, const typename B::V* in, int n_in, uint64_t attr) {
#define SINTER_ROW(name, ...)                                                              \
  case Op::name:                                                                           \
    if constexpr (pointwise_takes(Op::name, T)) return Ops<T>::name(b, attr, __VA_ARGS__); \
    break;
#define SINTER_ROW1(name) SINTER_ROW(name, in[0])
#define SINTER_ROW2(name) SINTER_ROW(name, in[0], in[1])
#define SINTER_ROW3(name) SINTER_ROW(name, in[0], in[1], in[2])
#define SINTER_ROW4(name) SINTER_ROW(name, in[0], in[1], in[2], in[3])
  switch (n_in) {
    case 1:
      switch (op) { SINTER_POINTWISE_UNARY(SINTER_ROW1) default : break; }
      break;
    case 2:
      switch (op) { SINTER_POINTWISE_BINARY(SINTER_ROW2) default : break; }
      break;
    case 3:
      switch (op) { SINTER_POINTWISE_TERNARY(SINTER_ROW3) default : break; }
      break;
    case 4:
      switch (op) { SINTER_POINTWISE_QUATERNARY(SINTER_ROW4) default : break; }
      break;
    default:
      break;
  }
#undef SINTER_ROW
#undef SINTER_ROW1
#undef SINTER_ROW2
#undef SINTER_ROW3
#undef SINTER_ROW4
  return typename B::V{};
}
}  // namespace detail

/// The expression of row `op` in compute type `compute` for a builder with a single value type. Operands as Ops<T>
/// takes them. An empty V for what pointwise_takes refuses, or for a number of operands the row does not have.
template <class B>
typename B::V pointwise(B& b, Op op, ScalarType compute, const typename B::V* in, int n_in, uint64_t attr) {
  switch (compute) {
    case ScalarType::Bool:
      return detail::pointwise_of_type<ScalarType::Bool>(b, op, in, n_in, attr);
    case ScalarType::Long:
      return detail::pointwise_of_type<ScalarType::Long>(b, op, in, n_in, attr);
    case ScalarType::Float:
      return detail::pointwise_of_type<ScalarType::Float>(b, op, in, n_in, attr);
    case ScalarType::Double:
      return detail::pointwise_of_type<ScalarType::Double>(b, op, in, n_in, attr);
    default:
      return typename B::V{};
  }
}

}  // namespace sinter
