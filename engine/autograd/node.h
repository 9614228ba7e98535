// The autograd graph: one generic node per differentiable call.
#pragma once
#include <memory>
#include <vector>
#include "../tensor.h"
#include "../../runtime/ops/op_call.h"

namespace sinter {

/// Called by dispatch after a differentiable call of which an operand requires grad, grad mode being on.
/// Before an in-place call: throws AutogradError for a leaf that requires grad. Cheap: this is on the replay path.
void check_inplace(const OpCall& call);
void record_node(const OpCall& call, Tensor& result);

}  // namespace sinter
