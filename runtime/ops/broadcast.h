// Broadcasting with the call named in errors.
#pragma once
#include "op_call.h"

namespace sinter {

/// Common shape of all operands of a call. Throws ShapeError.
SizeVec broadcast_call(const OpCall& call);

}  // namespace sinter
