// The one place where the expressions of runtime/ops/pointwise.h are instantiated for the emitter.
#include "../../runtime/ops/pointwise.h"
#include "emit_builder.h"

namespace sinter::codegen {

EmitBuilder::V emit_expression(EmitBuilder& b, Op op, ScalarType compute, const EmitBuilder::V* in, int n_in, uint64_t attr) {
  return pointwise<EmitBuilder>(b, op, compute, in, n_in, attr);
}

bool can_emit(Op op, ScalarType compute) { return emittable(op, compute); }

}  // namespace sinter::codegen
