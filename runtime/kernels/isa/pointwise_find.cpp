// Which loop runs a pointwise row at this level.
#include "pointwise_run.h"

namespace sinter::SINTER_LEVEL {

PointwiseFn find_pointwise(Op op, ScalarType compute, int n_in) {
  switch (compute) {
    case ScalarType::Bool:
      return find_pointwise_bool(op, n_in);
    case ScalarType::Long:
      return find_pointwise_i64(op, n_in);
    case ScalarType::Float:
      if (PointwiseFn fn = find_pointwise_f32(op, n_in)) return fn;
      return find_pointwise_f32_math(op, n_in);
    case ScalarType::Double:
      return find_pointwise_f64(op, n_in);
    default:
      return nullptr;
  }
}

}  // namespace sinter::SINTER_LEVEL
