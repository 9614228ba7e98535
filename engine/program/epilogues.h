// Matrix products take over what is done to their elements: pointwise kernels become epilogues, in registers.
#pragma once
#include <vector>
#include "buffers.h"

namespace sinter {

/// A kernel step that is the only reader of a product, and reads it element by element, merges with the product's step where the
/// product has code with that epilogue; the merged step stands where the kernel's stood. The step that
/// made the product is left with nothing to do: no value, no operands.
void absorb_epilogues(const Graph& graph, std::vector<PlannedStep>& steps);

}  // namespace sinter
