// The one place where the expressions of runtime/ops/pointwise.h are instantiated for the emitter.
#include "../../runtime/error.h"
#include "../../runtime/ops/pointwise.h"
#include "emit_builder.h"

namespace sinter::codegen {

EmitBuilder::V emit_expression(EmitBuilder& b, Op op, ScalarType compute, const EmitBuilder::V* in, int n_in, uint64_t attr) {
  const EmitBuilder::V v = pointwise<EmitBuilder>(b, op, compute, in, n_in, attr);
  if (v.id < 0) raise("{} of {} operands is no row", op_info(op).name, n_in);  // an empty value is no register
  return v;
}

bool can_emit(Op op, ScalarType compute) { return emittable(op, compute); }

}  // namespace sinter::codegen
