#include "../../../runtime/mutants.h"
#include "../../graph/geometry.h"
#include "fusion.h"

namespace sinter::fuse {

bool is_reduction(const GraphNode& n) { return n.op == Op::sum || n.op == Op::amax || n.op == Op::amin; }

namespace {

bool fusible_reduction(const Graph& graph, const GraphNode& n) {
  const TensorMeta& x = graph[n.in[0]].meta;
  if (numel_of(x.sizes) == 0 || numel_of(x.sizes) == n.numel() || n.meta.dtype == ScalarType::Bool) return false;
  // One run of neighbouring reduced dimensions (sizes of 1 apart): one step of reduce_order.h.
  const uint32_t dims = reduce_dims(n.attr);
  int runs = 0;
  bool in_run = false;
  for (size_t d = 0; d < x.sizes.size(); ++d) {
    if (x.sizes[d] == 1) continue;
    const bool reduced = dims == 0 || (dims >> d & 1);
    runs += reduced && !in_run;
    in_run = reduced;
  }
  return runs == 1 || SINTER_MUTANT(split_reduction_fused);
}

bool is_counting(const GraphNode& n) {
  return n.op == Op::arange && n.meta.dtype == ScalarType::Long && n.scalars.size() == 2 &&
         n.scalars[0] == ScalarRef{-1, Scalar(int64_t{0})} && n.scalars[1] == ScalarRef{-1, Scalar(int64_t{1})};
}

}  // namespace

bool fusible(const Graph& graph, ValueId v) {
  const GraphNode& n = graph[v];
  if (n.is_input() || n.is_view() || n.meta.sizes.size() > kMaxFusedRank || n.numel() == 0) return false;
  for (ValueId operand : n.in)
    if (operand < 0 || graph[operand].meta.sizes.size() > kMaxFusedRank) return false;
  switch (op_info(n.op).kind) {
    case OpKind::Pointwise:
      return n.op != Op::clamp && codegen::can_emit(n.op, n.compute);  // clamp: decomposed, or eager
    case OpKind::Cast:
      return n.op == Op::to && graph[n.in[0]].meta.sizes == n.meta.sizes;
    case OpKind::Copy:
      return n.op == Op::clone;
    case OpKind::Creation:
      return n.op == Op::full || is_counting(n);
    case OpKind::Reduce:
      return is_reduction(n) && fusible_reduction(graph, n);
    default:
      return false;
  }
}

bool is_cheap(const GraphNode& n) {
  switch (n.op) {
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::minimum:
    case Op::maximum:
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le:
    case Op::gt:
    case Op::ge:
    case Op::logical_and:
    case Op::logical_or:
    case Op::logical_xor:
    case Op::logical_not:
    case Op::neg:
    case Op::abs:
    case Op::sign:
    case Op::relu:
    case Op::where:
    case Op::addcmul:
    case Op::threshold_backward:
    case Op::to:
    case Op::clone:
    case Op::full:
    case Op::arange:
      return true;
    default:
      return false;
  }
}

DimMap operand_place(const Graph& graph, ValueId user, const DimMap& user_map, ValueId operand) {
  DimMap place = kNoDims;
  const SizeVec& sizes = graph[operand].meta.sizes;
  // A reduction's map is that of its operand already.
  const size_t rank = is_reduction(graph[user]) ? sizes.size() : graph[user].meta.sizes.size();
  for (size_t d = 0; d < sizes.size(); ++d)
    if (sizes[d] != 1) place[d] = user_map[d + rank - sizes.size()];
  return place;
}

bool base_place(const Graph& graph, ValueId operand, const DimMap& place, DimMap& base) {
  if (!graph[operand].is_view()) {
    base = place;
    return true;
  }
  const TensorMeta &view = graph[operand].meta, &below = graph[graph[operand].in[0]].meta;
  if (below.sizes.size() > kMaxFusedRank) return false;
  DimMap to_base = kNoDims;
  if (!view_dims(view, below, to_base.data()) && !SINTER_MUTANT(view_followed_by_index)) return false;
  base = kNoDims;
  for (size_t d = 0; d < view.sizes.size(); ++d)
    if (to_base[d] >= 0) base[to_base[d]] = place[d];
  return true;
}

}  // namespace sinter::fuse
