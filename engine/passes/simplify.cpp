#include <numeric>
#include "../../runtime/mutants.h"
#include "../graph/geometry.h"
#include "passes.h"

namespace sinter {

namespace {

bool is_copy(const GraphNode& n) { return n.op == Op::clone || n.op == Op::to; }

/// Same type and strides, wherever it lies: a value never changes, so its copy is the value itself.
bool same_layout(const TensorMeta& a, const TensorMeta& b) {
  TensorMeta moved = b;
  moved.offset = a.offset;
  if (SINTER_MUTANT(copy_to_other_layout_removed)) moved.strides = a.strides;
  return same_geometry(a, moved);
}

/// A reduction over dimensions of size 1 only takes the element itself (reduce_order.h): a view, when type and layout stay.
bool is_reduction_as_view(const Graph& graph, const GraphNode& n) {
  if (n.op != Op::sum && n.op != Op::amax && n.op != Op::amin) return false;
  const TensorMeta& x = graph[n.in[0]].meta;
  if (x.dtype != n.meta.dtype || numel_of(x.sizes) != numel_of(n.meta.sizes) || numel_of(x.sizes) == 0) return false;
  const uint32_t dims = reduce_dims(n.attr);
  SizeVec strides;
  for (size_t d = 0; d < x.sizes.size(); ++d) {
    const bool reduced = dims == 0 || (dims >> d & 1);
    if (reduced && x.sizes[d] != 1) return false;
    if (!reduced || reduce_keepdim(n.attr)) strides.push_back(x.strides[d]);
  }
  if (strides.size() != n.meta.sizes.size()) return false;
  TensorMeta view = n.meta;
  view.strides = strides;
  return same_geometry(view, n.meta);  // views of n are placed by n's strides: they must stay
}

/// The value this node is equal to, or -1.
ValueId equal_value(const Graph& graph, const GraphNode& n) {
  if (is_copy(n) && same_layout(n.meta, graph[n.in[0]].meta)) return n.in[0];
  const bool same = !n.in.empty() && n.in[0] >= 0 && n.meta.dtype == n.compute;
  if (!same) return -1;
  const GraphNode& a = graph[n.in[0]];
  if (n.op == Op::neg && a.op == Op::neg && a.meta.dtype == n.meta.dtype && same_layout(n.meta, graph[a.in[0]].meta))
    return a.in[0];
  const bool idempotent = n.op == Op::relu || n.op == Op::abs;
  if (idempotent && (a.op == n.op || SINTER_MUTANT(idempotent_after_anything)) && a.compute == n.compute &&
      same_layout(n.meta, a.meta))
    return n.in[0];
  if (n.op == Op::where && (n.in[1] == n.in[2] || SINTER_MUTANT(where_always_first)) && same_layout(n.meta, graph[n.in[1]].meta))
    return n.in[1];
  return -1;
}

}  // namespace

bool simplify(Graph& graph) {
  std::vector<ValueId> to(graph.nodes.size());
  std::iota(to.begin(), to.end(), 0);
  bool changed = false;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    GraphNode& n = graph.nodes[i];
    if (n.dead) continue;
    for (ValueId& operand : n.in)
      if (operand >= 0) operand = to[operand];
    if (n.is_input() || n.is_view()) continue;
    if (const ValueId v = equal_value(graph, n); v >= 0) {
      to[i] = v;
      n.dead = true;
      changed = true;
    } else if (is_reduction_as_view(graph, n)) {
      n.op = Op::alias;
      n.attr = 0;
      n.ints.clear();
      n.meta.offset = 0;
      changed = true;
    }
  }
  for (auto& out : graph.outputs) out.value = to[out.value];
  return changed;
}

}  // namespace sinter
