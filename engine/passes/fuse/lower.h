// One group of a plan as a loop nest for the emitter, and what its arguments are.
#pragma once
#include "fusion.h"

namespace sinter::fuse {

/// Argument of a kernel: the buffer of `base`, from element `offset` on.
struct Binding {
  ValueId base = -1;
  int64_t offset = 0;
  bool output = false;
};

struct Lowered {
  codegen::LoopSpec spec;
  std::vector<Binding> operands;     // one per spec operand
  std::vector<int32_t> scalars;      // one per spec scalar: number of the region's value scalar
  std::vector<ValueId> node_values;  // per spec node: the value it belongs to, -1 if shared
  int64_t elements = 0;              // a spec of kAnySize: how many this step has
};

/// Writes the group as a LoopSpec. False when its memory cannot be walked that way (reduced dimensions of an operand
/// that do not collapse into one, say): its nodes are then left to eager kernels.
bool lower_group(const Graph& graph, const Plan& plan, int32_t group, Lowered& out);

/// Horizontal fusion: steps that compute the same over different numbers of elements, as the updates of an optimizer's
/// parameters do, become steps of one kernel.
void share_kernels(const std::vector<Lowered*>& steps);

}  // namespace sinter::fuse
