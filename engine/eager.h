// Eager execution, beneath the gate: nothing here looks at the frame.
#pragma once
#include "dispatch.h"

namespace sinter {

/// True when the call must be remembered by autograd.
bool needs_node(const OpCall& call);
/// run_eager plus autograd: what every call does when no frame is open.
Tensor eager_call(const OpCall& call);
/// The value check of a checked operator; brings pending index operands in. @throws IndexError, ValueError.
void check_call_values(const OpCall& call);

}  // namespace sinter
