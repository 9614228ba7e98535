#include "../../runtime/mutants.h"
#include "passes.h"

namespace sinter {

bool remove_dead(Graph& graph) {
  std::vector<bool> needed(graph.nodes.size(), false);
  for (const auto& out : graph.outputs) needed[out.value] = out.input < 0 || !SINTER_MUTANT(dead_code_takes_writes);
  bool changed = false;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    GraphNode& n = graph.nodes[i];
    if (n.dead) continue;
    if (!needed[i] && !n.is_input()) {
      n.dead = true;
      changed = true;
      continue;
    }
    for (ValueId operand : n.in)
      if (operand >= 0) needed[operand] = true;
  }
  return changed;
}

}  // namespace sinter
