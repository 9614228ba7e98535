// What Module::zero_grad and Optimizer::zero_grad do to one parameter.
#pragma once
#include "../../engine/tensor.h"

namespace sinter::detail {

/// Zeroes the gradient in place, cutting it from any graph (create_graph), or drops it.
void zero_grad(const Tensor& parameter, bool set_to_none, Loc loc = Loc::current());

}  // namespace sinter::detail
