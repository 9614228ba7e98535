// One group of a plan as a loop nest for the emitter, and what its arguments are.
#pragma once
#include <optional>
#include <utility>
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
  std::optional<codegen::LoopSpec> any;  // what to emit instead: the same with extents, strides or counts as arguments
  std::vector<Binding> operands;         // one per spec operand
  std::vector<int32_t> scalars;          // one per scalar: number of the region's value scalar, or -1 - index into `counts`
  std::vector<int64_t> counts;           // constants of `spec` that `any` takes as scalars
  std::vector<ValueId> node_values;      // per spec node: the value it belongs to, -1 if shared
  std::vector<std::pair<int32_t, int64_t>> integers;  // spec nodes that are constants made of an integer
  const codegen::LoopSpec& kernel_spec() const { return any ? *any : spec; }
};

/// Writes the group as a LoopSpec. False when its memory cannot be walked that way (reduced dimensions of an operand
/// that do not collapse into one, say): its nodes are then left to eager kernels.
bool lower_group(const Graph& graph, const Plan& plan, int32_t group, Lowered& out);

/// Horizontal fusion: steps that compute the same over different numbers of elements, as the updates of an optimizer's
/// parameters do, become steps of one kernel.
void share_kernels(const std::vector<Lowered*>& steps);

}  // namespace sinter::fuse
