// Exchanging what a tensor holds while every handle to it stays: Module::to and clone.
#pragma once
#include "../../engine/tensor.h"

namespace sinter::detail {

/// `target` takes over dtype, sizes, strides and memory of `source`; its gradient state stays. Ends an open region.
void set_data(const Tensor& target, const Tensor& source, Loc loc = Loc::current());

}  // namespace sinter::detail
