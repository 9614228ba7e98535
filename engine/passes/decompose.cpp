#include "../../runtime/mutants.h"
#include "expand.h"
#include "passes.h"

namespace sinter {

namespace {

ValueId expand(Expansion& x, const GraphNode& n) {
  if (n.is_input() || n.numel() == 0) return -1;
  switch (op_info(n.op).kind) {
    case OpKind::Reduce:
      return expand_reduce(x, n);
    case OpKind::Softmax:
      return expand_softmax(x, n);
    case OpKind::Norm:
      return expand_norm(x, n);
    case OpKind::Loss:
      return expand_loss(x, n);
    default:
      return n.op == Op::clamp ? expand_clamp(x, n) : -1;
  }
}

bool may_expand(const Graph& graph) {
  for (const auto& n : graph.nodes) {
    if (n.dead || n.is_input()) continue;
    const OpKind k = op_info(n.op).kind;
    if (k == OpKind::Reduce || k == OpKind::Softmax || k == OpKind::Norm || k == OpKind::Loss || n.op == Op::clamp) return true;
  }
  return false;
}

}  // namespace

bool decompose(Graph& graph) {
  if (!may_expand(graph)) return false;
  std::vector<GraphNode> old = std::move(graph.nodes);
  graph.nodes.clear();
  graph.nodes.reserve(old.size() * 2);
  std::vector<ValueId> to(old.size(), -1);
  bool changed = false;
  for (size_t i = 0; i < old.size(); ++i) {
    GraphNode& n = old[i];
    if (n.dead) continue;
    for (ValueId& operand : n.in)
      if (operand >= 0) operand = to[operand];
    Expansion x(graph.nodes, n);
    const size_t before = graph.nodes.size();
    const ValueId v = expand(x, n);
    if (v < 0) {
      graph.nodes.resize(before);  // an expansion may notice late that it cannot
      to[i] = graph.add(std::move(n));
      continue;
    }
    GraphNode& result = graph.nodes[v];
    if (!SINTER_MUTANT(decomposed_in_other_layout)) result.meta.strides = n.meta.strides;
    to[i] = v;
    changed = true;
  }
  for (auto& out : graph.outputs) out.value = to[out.value];
  return changed;
}

}  // namespace sinter
