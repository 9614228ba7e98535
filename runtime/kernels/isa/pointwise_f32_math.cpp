// Elementary functions in float32.
#include "pointwise_loop.h"

namespace sinter::SINTER_LEVEL {

namespace {
constexpr ScalarType T = ScalarType::Float;
SINTER_EVAL(exp)
SINTER_EVAL(log)
SINTER_EVAL(log1p)
SINTER_EVAL(rsqrt)
SINTER_EVAL(sin)
SINTER_EVAL(cos)
SINTER_EVAL(tanh) SINTER_EVAL(sigmoid) SINTER_EVAL(erf) SINTER_EVAL(silu) SINTER_EVAL(gelu) SINTER_EVAL(gelu_backward)
}  // namespace

PointwiseFn find_pointwise_f32_math(Op op, int n_in) {
  switch (n_in) {
    case 1:
      switch (op) {
        SINTER_CASE1(exp)
        SINTER_CASE1(log)
        SINTER_CASE1(log1p)
        SINTER_CASE1(rsqrt)
        SINTER_CASE1(sin)
        SINTER_CASE1(cos)
        SINTER_CASE1(tanh) SINTER_CASE1(sigmoid) SINTER_CASE1(erf) SINTER_CASE1(silu) SINTER_CASE1(gelu) default : break;
      }
      break;
    case 2:
      switch (op) {
        SINTER_CASE2(gelu_backward)
        default:
          break;
      }
      break;
    default:
      break;
  }
  return nullptr;
}

}  // namespace sinter::SINTER_LEVEL
