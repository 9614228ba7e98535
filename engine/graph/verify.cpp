#include "../../runtime/error.h"
#include "geometry.h"
#include "graph.h"

namespace sinter {

namespace {

void check(bool ok, const Graph& graph, ValueId v, const char* what) {
  if (!ok) raise("graph {}: {} at {}", graph.name, what, graph.str(v));
}

void check_view(const Graph& graph, ValueId v) {
  const GraphNode& n = graph[v];
  check(n.in.size() == 1 && n.in[0] >= 0, graph, v, "a view needs one base");
  const TensorMeta& base = graph[n.in[0]].meta;
  check(n.meta.dtype == base.dtype, graph, v, "a view must keep the dtype");
  const int64_t extent = extent_of(n.meta.sizes, n.meta.strides);
  const int64_t room = extent_of(base.sizes, base.strides);
  check(extent == 0 || (n.meta.offset >= 0 && n.meta.offset + extent <= room), graph, v, "a view leaves its base");
}

void check_operator(const Graph& graph, ValueId v) {
  const GraphNode& n = graph[v];
  const OpInfo& info = op_info(n.op);
  check(n.in.size() >= info.min_in && n.in.size() <= info.max_in, graph, v, "wrong number of operands");
  check(n.scalars.size() <= info.max_scalars, graph, v, "too many scalars");
  check(!(n.flags & kInplace), graph, v, "in-place calls must be functional");
  check(n.meta.offset == 0, graph, v, "a computed value has no offset");
  for (const auto& s : n.scalars) check(s.input < static_cast<int32_t>(graph.scalars.size()), graph, v, "no such scalar input");
  if (info.kind != OpKind::Pointwise) return;
  check(n.compute != ScalarType::Undefined, graph, v, "a pointwise operator needs its compute type");
  for (ValueId o : n.in) {  // every operand must broadcast to the result
    if (o < 0) continue;
    const SizeVec &from = graph[o].meta.sizes, &to = n.meta.sizes;
    check(from.size() <= to.size(), graph, v, "an operand of higher rank");
    for (size_t d = 0; d < from.size(); ++d)
      check(from[d] == 1 || from[d] == to[d + to.size() - from.size()], graph, v, "an operand does not broadcast");
  }
}

}  // namespace

void Graph::verify() const {
  for (size_t i = 0; i < nodes.size(); ++i) {
    const auto v = static_cast<ValueId>(i);
    const GraphNode& n = nodes[i];
    if (n.dead) continue;
    check(n.meta.sizes.size() == n.meta.strides.size(), *this, v, "sizes and strides differ in rank");
    check(n.meta.dtype != ScalarType::Undefined, *this, v, "no dtype");
    if (n.is_input()) {
      check(n.in.empty() && n.input >= 0, *this, v, "bad input node");
      continue;
    }
    check(n.op < Op::kCount, *this, v, "no operator");
    for (ValueId o : n.in) {
      check(o >= -1 && o < v, *this, v, "operands must come first");
      check(o < 0 || !nodes[o].dead, *this, v, "a dead operand");
    }
    if (n.is_view()) check_view(*this, v);
    else check_operator(*this, v);
  }
  for (const auto& out : outputs) {
    if (out.value < 0 || out.value >= static_cast<ValueId>(nodes.size())) raise("graph {}: an output has no value", name);
    check(!nodes[out.value].dead, *this, out.value, "a dead output");
  }
}

}  // namespace sinter
