#include "../graph/geometry.h"
#include "passes.h"

namespace sinter {

bool settle_outputs(Graph& graph) {
  bool changed = false;
  // x.copy_(x) and the like: the input keeps its bytes.
  std::erase_if(graph.outputs, [&](const GraphOutput& out) {
    const bool same = out.input >= 0 && graph[out.value].is_input() && graph[out.value].input == out.input;
    changed |= same;
    return same;
  });
  std::vector<bool> taken(graph.nodes.size(), false);
  for (auto& out : graph.outputs) {
    const GraphNode& n = graph[out.value];
    // A row-major value seen in another row-major shape is the same bytes.
    if (n.is_view() && is_plain(n.meta) && is_plain(graph[n.in[0]].meta) && n.numel() == graph[n.in[0]].numel() &&
        !graph[n.in[0]].is_input())
      out.value = n.in[0], changed = true;
    const GraphNode& value = graph[out.value];
    if (!value.is_input() && !value.is_view() && !taken[out.value]) {
      taken[out.value] = true;
      continue;
    }
    GraphNode copy;
    copy.op = Op::clone;
    copy.in = {out.value};
    copy.meta = value.meta;
    copy.meta.offset = 0;
    copy.loc = value.loc;
    out.value = graph.add(std::move(copy));
    taken.push_back(true);
    changed = true;
  }
  return changed;
}

}  // namespace sinter
