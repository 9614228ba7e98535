// Which values are computed together: groups of nodes over one iteration space, in execution order.
#pragma once
#include <array>
#include <vector>
#include "../../../codegen/loop/loop_spec.h"
#include "../../graph/graph.h"

namespace sinter::fuse {

inline constexpr int kMaxFusedRank = 10;   // values of higher rank are left to eager kernels
inline constexpr int kMaxGroupNodes = 96;  // keeps kernels and their compile time small

/// Dimension of a value -> dimension of its group's space; -1 where the value has size 1 (or repeats).
using DimMap = std::array<int8_t, kMaxFusedRank>;
inline constexpr DimMap kNoDims = [] {
  DimMap m{};
  m.fill(-1);
  return m;
}();

/// Values computed by one kernel, or one operator left to its eager kernel (`eager`). Row and Column groups reduce the
/// space dimensions listed in `reduced`, in logical order; their kernels compute what does not depend on those
/// dimensions once per row or column.
struct Group {
  bool eager = false;
  bool merged = false;  // its nodes moved to another group
  codegen::LoopMode mode = codegen::LoopMode::Pointwise;
  SizeVec space;
  SizeVec reduced;
  std::vector<ValueId> nodes;  // ascending
};

struct Plan {
  std::vector<Group> groups;
  std::vector<int32_t> order;       // groups to run, one after another
  std::vector<int32_t> group_of;    // per value; -1: inputs, views, dead nodes
  std::vector<DimMap> map_of;       // per value: its place in the space of its group
  std::vector<DimMap> operand_map;  // per reduction: the place of its operand
  std::vector<bool> stored;         // per value: written to memory
};

/// Greedy fusion. `keep_eager[v]`: leave this value to its eager kernel.
Plan make_plan(const Graph& graph, const std::vector<bool>& keep_eager);

// -- rules (rules.cpp)

/// A kernel can compute this node.
bool fusible(const Graph& graph, ValueId v);
bool is_reduction(const GraphNode& n);
/// Costs less to compute again than to store and load: no transcendental function, no division, no reduction.
bool is_cheap(const GraphNode& n);
/// The value that owns the memory an operand reads.
inline ValueId base_of(const Graph& graph, ValueId v) { return graph[v].is_view() ? graph[v].in[0] : v; }
/// Place of an operand in the space, given its user's: operand dimensions align at the right. Reductions: `user` is the
/// reduction's operand map.
DimMap operand_place(const Graph& graph, ValueId user, const DimMap& user_map, ValueId operand);
/// Place of the base of `operand` when `operand` lies at `place`. False when the view cannot be followed by index.
bool base_place(const Graph& graph, ValueId operand, const DimMap& place, DimMap& base);

// -- parts of make_plan
/// Decides which values of the groups are written to memory (store.cpp).
void decide_stores(const Graph& graph, Plan& plan);
/// Orders the groups; earlier events first where there is a choice (store.cpp).
void order_groups(const Graph& graph, Plan& plan);

}  // namespace sinter::fuse
