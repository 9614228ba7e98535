#include "../../runtime/mutants.h"
#include "../graph/geometry.h"
#include "passes.h"

namespace sinter {

bool settle_outputs(Graph& graph) {
  bool changed = false;
  // x.copy_(x) and the like: the input keeps its bytes.
  std::erase_if(graph.outputs, [&](const GraphOutput& out) {
    const bool same = out.input >= 0 && graph[out.value].is_input() &&
                      (graph[out.value].input == out.input || SINTER_MUTANT(write_of_other_input_dropped));
    changed |= same;
    return same;
  });
  std::vector<bool> taken(graph.nodes.size(), false);
  for (auto& out : graph.outputs) {
    const GraphNode& n = graph[out.value];
    // A row-major value seen in another row-major shape is the same bytes.
    ValueId maker = n.is_view() ? n.in[0] : out.value;
    const GraphNode& made = graph[maker];
    const bool same_bytes = SINTER_MUTANT(output_in_other_layout) || same_geometry(made.meta, out.meta) ||
                            (is_plain(made.meta) && is_plain(n.meta) && is_plain(out.meta) && made.numel() == n.numel());
    if ((!made.is_input() || SINTER_MUTANT(output_is_input_memory)) && same_bytes &&
        (!taken[maker] || SINTER_MUTANT(output_shared))) {
      changed |= maker != out.value;
      out.value = maker;
      taken[maker] = true;
      continue;
    }
    GraphNode copy;
    copy.op = Op::clone;
    copy.in = {out.value};
    copy.meta = out.meta;
    if (!(n.meta.sizes == out.meta.sizes)) {  // of the same bytes in another row-major shape, by an earlier run
      copy.meta.sizes = n.meta.sizes;
      copy.meta.strides = contiguous_strides(n.meta.sizes);
    }
    copy.event = n.event;
    copy.loc = n.loc;
    out.value = graph.add(std::move(copy));
    taken.push_back(true);
    changed = true;
  }
  return changed;
}

}  // namespace sinter
