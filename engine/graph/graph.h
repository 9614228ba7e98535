// The graph of a region: SSA over tensors, same vocabulary as eager, owned by value, printable, editable.
#pragma once
#include <map>
#include <string>
#include <vector>
#include "../../runtime/loc.h"
#include "../../runtime/ops/op_call.h"

namespace sinter {

using ValueId = int32_t;

/// A scalar operand of a node: a runtime input of the region, or a constant made by a pass.
struct ScalarRef {
  int32_t input = -1;  // number of the region's value scalar, or -1
  Scalar constant;
  friend bool operator==(const ScalarRef&, const ScalarRef&) = default;
};

/// One value and the operator that makes it, in functional form (no kInplace). Input nodes stand for region inputs.
/// View nodes own no memory: `meta` places them in the buffer of in[0]; Op::alias with any geometry is the general view.
struct GraphNode {
  enum class Kind : uint8_t { Input, Op } kind = Kind::Op;
  Op op = Op::kCount;
  uint8_t flags = 0;
  std::vector<ValueId> in;  // -1 = undefined operand
  uint64_t attr = 0;
  std::vector<int64_t> ints;
  std::vector<ScalarRef> scalars;
  TensorMeta meta;  // views: offset relative to the base value's first element; others: offset 0
  ScalarType compute = ScalarType::Undefined;
  int32_t input = -1;  // Kind::Input: number of the region input
  int32_t event = -1;  // the event it came from (source lines), -1 if a pass made it of nothing
  bool dead = false;
  Loc loc;

  bool is_input() const { return kind == Kind::Input; }
  bool is_view() const { return kind == Kind::Op && sinter::is_view(op); }
  int64_t numel() const { return numel_of(meta.sizes); }
};

/// What must exist after the program has run.
struct GraphOutput {
  ValueId value = -1;
  int32_t slot = -1;   // region slot whose storage receives it
  int32_t input = -1;  // write-back: number of the region input whose memory receives it, else -1
  TensorMeta meta;     // geometry it must have there, offset 0
};

/// Nodes in execution order; ids are indices and stay valid under edits (erased nodes are marked dead).
class Graph {
 public:
  std::vector<GraphNode> nodes;
  std::vector<GraphOutput> outputs;
  std::vector<ScalarType> scalars;
  std::string name;
  std::map<int64_t, std::string> size_names;  // what numbers stand for, in a graph of symbols

  ValueId add(GraphNode node) {
    nodes.push_back(std::move(node));
    return static_cast<ValueId>(nodes.size()) - 1;
  }
  const GraphNode& operator[](ValueId v) const { return nodes[v]; }
  GraphNode& operator[](ValueId v) { return nodes[v]; }
  void replace_all_uses(ValueId from, ValueId to);
  /// Replaces operands and outputs by `to[v]` in one sweep; `to` has one entry per node.
  void replace_uses(const std::vector<ValueId>& to);
  std::vector<int32_t> use_counts() const;  // per value, outputs included
  /// One line per live node: "%5 = add(%3, %4) : f32[10, 5]  # model.cpp:12".
  std::string str() const;
  /// That line for one node.
  std::string str(ValueId v) const;
  /// "[s0, 512]"
  std::string text_of(IntArrayRef sizes) const;
  /// Throws Error naming the node when an invariant is broken (order, operand ranges, ranks, views inside their base).
  void verify() const;
};

}  // namespace sinter
