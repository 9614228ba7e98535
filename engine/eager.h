// Eager execution, beneath the gate: nothing here looks at the frame.
#pragma once
#include "dispatch.h"

namespace sinter {

namespace autograd {
struct Node;
}

/// True when the call must be remembered by autograd.
bool needs_node(const OpCall& call);
/// run_eager plus autograd: what every call does when no frame is open. `made`, where given: the node of the call, if one was
/// built; the result keeps it.
Tensor eager_call(const OpCall& call, autograd::Node** made = nullptr);
/// The value check of a checked operator; brings pending index operands in. @throws IndexError, ValueError.
void check_call_values(const OpCall& call);

}  // namespace sinter
