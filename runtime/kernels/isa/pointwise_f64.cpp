// Pointwise rows in float64.
#include "pointwise_loop.h"

namespace sinter::SINTER_LEVEL {

namespace {
constexpr ScalarType T = ScalarType::Double;
SINTER_EVAL(pow)
SINTER_EVAL(neg)
SINTER_EVAL(abs)
SINTER_EVAL(sign)
SINTER_EVAL(sqrt)
SINTER_EVAL(reciprocal)
SINTER_EVAL(relu)
SINTER_EVAL(exp)
SINTER_EVAL(log)
SINTER_EVAL(log1p)
SINTER_EVAL(rsqrt)
SINTER_EVAL(sin)
SINTER_EVAL(cos)
SINTER_EVAL(tanh)
SINTER_EVAL(sigmoid)
SINTER_EVAL(erf)
SINTER_EVAL(silu)
SINTER_EVAL(gelu)
SINTER_EVAL(add)
SINTER_EVAL(sub)
SINTER_EVAL(mul)
SINTER_EVAL(div)
SINTER_EVAL(div_trunc)
SINTER_EVAL(floor_divide)
SINTER_EVAL(remainder)
SINTER_EVAL(minimum)
SINTER_EVAL(maximum)
SINTER_EVAL(eq)
SINTER_EVAL(ne)
SINTER_EVAL(lt)
SINTER_EVAL(le)
SINTER_EVAL(gt)
SINTER_EVAL(ge)
SINTER_EVAL(clamp)
SINTER_EVAL(sigmoid_backward)
SINTER_EVAL(tanh_backward)
SINTER_EVAL(threshold_backward) SINTER_EVAL(gelu_backward) SINTER_EVAL(where) SINTER_EVAL(addcmul) SINTER_EVAL(addcdiv)
}  // namespace

PointwiseFn find_pointwise_f64(Op op, int n_in) {
  switch (n_in) {
    case 1:
      switch (op) {
        SINTER_CASE1(pow)
        SINTER_CASE1(neg)
        SINTER_CASE1(abs)
        SINTER_CASE1(sign)
        SINTER_CASE1(sqrt)
        SINTER_CASE1(reciprocal)
        SINTER_CASE1(relu)
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
        SINTER_CASE2(add)
        SINTER_CASE2(sub)
        SINTER_CASE2(mul)
        SINTER_CASE2(div)
        SINTER_CASE2(div_trunc)
        SINTER_CASE2(floor_divide)
        SINTER_CASE2(remainder)
        SINTER_CASE2(minimum)
        SINTER_CASE2(maximum)
        SINTER_CASE2(pow)
        SINTER_CASE2(eq)
        SINTER_CASE2(ne)
        SINTER_CASE2(lt)
        SINTER_CASE2(le)
        SINTER_CASE2(gt)
        SINTER_CASE2(ge)
        SINTER_CASE2(clamp)
        SINTER_CASE2(sigmoid_backward)
        SINTER_CASE2(tanh_backward) SINTER_CASE2(threshold_backward) SINTER_CASE2(gelu_backward) default : break;
      }
      break;
    case 3:
      switch (op) {
        SINTER_CASE3(add)
        SINTER_CASE3(sub) SINTER_CASE3(where) SINTER_CASE3(clamp) SINTER_CASE3(addcmul) SINTER_CASE3(addcdiv) default : break;
      }
      break;
    case 4:
      switch (op) { SINTER_CASE4(addcmul) SINTER_CASE4(addcdiv) default : break; }
      break;
    default:
      break;
  }
  return nullptr;
}

}  // namespace sinter::SINTER_LEVEL
