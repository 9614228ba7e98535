// Writing the primitive operators that stand for one library operator.
#pragma once
#include "../graph/graph.h"

namespace sinter {

/// Appends nodes to the graph under construction; every value made gets row-major strides and the source's line.
/// All arithmetic is in one floating type.
class Expansion {
 public:
  Expansion(std::vector<GraphNode>& nodes, const GraphNode& source) : nodes_(nodes), source_(source), type_(source.meta.dtype) {}

  const TensorMeta& meta(ValueId v) const { return nodes_[v].meta; }
  ScalarType type() const { return type_; }
  void set_type(ScalarType t) { type_ = t; }

  ValueId unary(Op op, ValueId a) { return pointwise(op, {a}, {}, 0); }
  ValueId binary(Op op, ValueId a, ValueId b) { return pointwise(op, {a, b}, {}, 0); }
  ValueId with_scalar(Op op, ValueId a, ScalarRef s) { return pointwise(op, {a}, {s}, kScalarRhs); }
  /// The scalar is the first operand.
  ValueId scalar_with(Op op, ScalarRef s, ValueId a) { return pointwise(op, {a}, {s}, kScalarLhs); }
  ValueId with_constant(Op op, ValueId a, Scalar s) { return with_scalar(op, a, {-1, s}); }
  ValueId where(ValueId condition, ValueId a, ValueId b) { return pointwise(Op::where, {condition, a, b}, {}, 0); }
  /// Sum or maximum over the dimensions of the mask (0 = all), in the expansion's type.
  ValueId reduce(Op op, ValueId a, uint32_t dims, bool keepdim);
  /// sum / n over the masked dimensions, kept.
  ValueId mean(ValueId a, uint32_t dims);
  ValueId cast(ValueId a, ScalarType to);
  /// A one-element value.
  ValueId constant(Scalar s, ScalarType t);
  /// 0, 1, ... n - 1 as int64.
  ValueId iota(int64_t n);
  /// Adds a dimension of size 1 behind the last, or a view of another shape of a row-major value.
  ValueId unsqueeze_last(ValueId a);
  ValueId reshape(ValueId a, IntArrayRef sizes);

 private:
  ValueId pointwise(Op op, std::initializer_list<ValueId> in, std::initializer_list<ScalarRef> scalars, uint8_t flags);
  GraphNode blank(Op op) const;
  ValueId add(GraphNode n) {
    nodes_.push_back(std::move(n));
    return static_cast<ValueId>(nodes_.size()) - 1;
  }

  std::vector<GraphNode>& nodes_;
  const GraphNode& source_;
  ScalarType type_;
};

/// Each appends the primitive form of `n` (operands already renumbered) and returns its value, whose sizes and dtype are
/// n's; -1 leaves the operator as it is.
ValueId expand_reduce(Expansion& x, const GraphNode& n);
ValueId expand_softmax(Expansion& x, const GraphNode& n);
ValueId expand_norm(Expansion& x, const GraphNode& n);
ValueId expand_loss(Expansion& x, const GraphNode& n);
ValueId expand_clamp(Expansion& x, const GraphNode& n);

}  // namespace sinter
