// Pointwise rows in Bool: bytes 0 and 1.
#include "pointwise_loop.h"

namespace sinter::SINTER_LEVEL {

namespace {
constexpr ScalarType T = ScalarType::Bool;
SINTER_EVAL(sign)
SINTER_EVAL(logical_not)
SINTER_EVAL(add)
SINTER_EVAL(mul)
SINTER_EVAL(minimum)
SINTER_EVAL(maximum)
SINTER_EVAL(eq)
SINTER_EVAL(ne)
SINTER_EVAL(lt)
SINTER_EVAL(le)
SINTER_EVAL(gt) SINTER_EVAL(ge) SINTER_EVAL(logical_and) SINTER_EVAL(logical_or) SINTER_EVAL(logical_xor) SINTER_EVAL(where)
}  // namespace

PointwiseFn find_pointwise_bool(Op op, int n_in) {
  switch (n_in) {
    case 1:
      switch (op) { SINTER_CASE1(sign) SINTER_CASE1(logical_not) default : break; }
      break;
    case 2:
      switch (op) {
        SINTER_CASE2(add)
        SINTER_CASE2(mul)
        SINTER_CASE2(minimum)
        SINTER_CASE2(maximum)
        SINTER_CASE2(eq)
        SINTER_CASE2(ne)
        SINTER_CASE2(lt)
        SINTER_CASE2(le)
        SINTER_CASE2(gt)
        SINTER_CASE2(ge) SINTER_CASE2(logical_and) SINTER_CASE2(logical_or) SINTER_CASE2(logical_xor) default : break;
      }
      break;
    case 3:
      switch (op) { SINTER_CASE3(add) SINTER_CASE3(where) default : break; }
      break;
    default:
      break;
  }
  return nullptr;
}

}  // namespace sinter::SINTER_LEVEL
