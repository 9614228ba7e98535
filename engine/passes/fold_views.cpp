#include <numeric>
#include "../../runtime/mutants.h"
#include "../graph/geometry.h"
#include "passes.h"

namespace sinter {

bool fold_views(Graph& graph) {
  std::vector<ValueId> to(graph.nodes.size());
  std::iota(to.begin(), to.end(), 0);
  bool changed = false;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    GraphNode& n = graph.nodes[i];
    if (n.dead) continue;
    for (ValueId& operand : n.in)
      if (operand >= 0) operand = to[operand];
    if (!n.is_view()) continue;
    const GraphNode& below = graph.nodes[n.in[0]];
    if (below.is_view()) {
      n.meta.offset += SINTER_MUTANT(folded_view_without_offset) ? 0 : below.meta.offset;
      n.in[0] = below.in[0];
      n.op = Op::alias;
      n.attr = 0;
      n.ints.clear();
      changed = true;
    }
    if (same_geometry(n.meta, graph.nodes[n.in[0]].meta)) {
      to[i] = n.in[0];
      n.dead = true;
      changed = true;
    }
  }
  if (changed)
    for (auto& out : graph.outputs) out.value = to[out.value];
  return changed;
}

}  // namespace sinter
